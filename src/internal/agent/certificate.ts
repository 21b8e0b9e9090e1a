/**
 * The certificate of an agent: one of its own that its guests know by the fingerprint, or one that is given.
 */
import { Effect, Either, Schema } from "effect"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import { errnoOf, reasonOf, writeDurably } from "../durable.ts"
import * as StateDir from "../stateDir.ts"
import { tool } from "../tool.ts"

/** The certificate or its key cannot be used. */
export class CertificateFailed extends Schema.TaggedError<CertificateFailed>()("CertificateFailed", {
  reason: Schema.String
}) {
  override get message(): string {
    return `the agent's certificate: ${this.reason}`
  }
}

/** A certificate and its key in PEM, and what guests know it by. */
export interface Certificate {
  readonly cert: string
  readonly key: string
  /** SHA-256 with colons. */
  readonly fingerprint: string
}

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = Fs.constants

const fail = Effect.mapError((error: { readonly message: string }) => new CertificateFailed({ reason: error.message }))

const parse = <A>(what: string, read: () => A) =>
  Either.try({ try: read, catch: () => new CertificateFailed({ reason: `${what} is no PEM that can be read` }) })

/** Whether the two belong together. The first certificate of a chain is that of the agent. */
export const check = (
  given: { readonly cert: string; readonly key: string },
  names = { cert: "the certificate", key: "its key" }
): Either.Either<Certificate, CertificateFailed> =>
  Either.gen(function*() {
    const x509 = yield* parse(names.cert, () => new Crypto.X509Certificate(given.cert))
    const key = yield* parse(names.key, () => Crypto.createPrivateKey(given.key))
    if (!x509.checkPrivateKey(key)) {
      return yield* Either.left(new CertificateFailed({ reason: `${names.key} is not the key of ${names.cert}` }))
    }
    return { ...given, fingerprint: x509.fingerprint256 }
  })

const readText = (path: string) =>
  Effect.tryPromise({
    try: () =>
      Fs.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).then((file) =>
        file.readFile("utf8").finally(() => file.close())
      ).catch((error: unknown) => {
        if (errnoOf(error) !== "ENOENT") throw error
      }),
    catch: (error) => new CertificateFailed({ reason: `${path}: ${reasonOf(error)}` })
  })

/** What a certificate is good for: this machine by its names. Its guests compare the fingerprint alone. */
const subject = (hostname: string) => {
  const usable = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$/.test(hostname)
  return ["-subj", "/CN=quiesce agent", "-addext", `subjectAltName=DNS:localhost${usable ? `,DNS:${hostname}` : ""}`]
}

/** Made in a directory that only we can enter, so the key is nowhere else for a moment. */
const make = (stateDir: string, directory: string) =>
  Effect.acquireUseRelease(
    Effect.tryPromise({
      try: () => Fs.mkdtemp(Path.join(directory, ".new-")),
      catch: (error) => new CertificateFailed({ reason: `${directory}: ${reasonOf(error)}` })
    }),
    (place) =>
      Effect.gen(function*() {
        const [cert, key] = [Path.join(place, "cert.pem"), Path.join(place, "key.pem")]
        const days = String(365 * 10 + 2)
        yield* fail(tool(stateDir, [
          "openssl",
          "req",
          "-x509",
          "-newkey",
          "ec",
          "-pkeyopt",
          "ec_paramgen_curve:P-256",
          "-nodes",
          "-sha256",
          "-days",
          days,
          ...subject(Os.hostname()),
          "-keyout",
          key,
          "-out",
          cert
        ], "30 seconds"))
        return yield* check({ cert: (yield* readText(cert)) ?? "", key: (yield* readText(key)) ?? "" })
      }),
    (place) => Effect.promise(() => Fs.rm(place, { recursive: true, force: true }).catch(() => undefined))
  )

/**
 * The agent's own certificate in the state directory. It is made once, by `openssl`: another one would lock out every
 * guest that knows its fingerprint.
 */
export const own = Effect.fn("Certificate.own")(
  function*(options: { readonly stateDir: string }): Effect.fn.Return<Certificate, CertificateFailed> {
    const stateDir = Path.resolve(options.stateDir)
    const directory = Path.join(stateDir, "tls")
    yield* fail(Effect.forEach([stateDir, directory], StateDir.ensure, { discard: true }))
    const names = { cert: Path.join(directory, "cert.pem"), key: Path.join(directory, "key.pem") }
    const cert = yield* readText(names.cert)
    const key = yield* readText(names.key)
    // the certificate is written last: without it no guest has seen this key
    if (cert !== undefined) {
      if (key !== undefined) return yield* check({ cert, key }, names)
      return yield* new CertificateFailed({
        reason:
          `${names.key} is missing; bring it back, or remove ${names.cert} too: guests then need a new fingerprint`
      })
    }
    const made = yield* make(stateDir, directory)
    yield* fail(writeDurably(directory, [
      { name: "key.pem", content: made.key },
      { name: "cert.pem", content: made.cert }
    ]))
    return made
  }
)
