declare const QUIESCE_VERSION: string | undefined

/** The version of this program; the build puts it in. */
export const version: string = typeof QUIESCE_VERSION === "string" ? QUIESCE_VERSION : "0.0.0-development"
