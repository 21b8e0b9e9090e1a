import { execFileSync } from "node:child_process"

/** Builds the binary that the live tests spawn. */
export default function setup() {
  execFileSync(process.execPath, ["scripts/build.mjs", "--bin-only"], { stdio: "inherit" })
}
