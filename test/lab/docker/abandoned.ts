/**
 * A process that starts an engine with a container, says where, and waits to be killed. Bundled with esbuild.
 */
import { Effect } from "effect"
import * as Dockerd from "./dockerd.ts"
import { images } from "./images.ts"
import { project } from "./project.ts"

const main = Effect.scoped(Effect.gen(function*() {
  const { engine, root } = yield* Dockerd.make()
  yield* images(engine, ["bb"])
  const left = project(engine, "left", { services: { web: { restart: "always" }, frozen: {} } })
  yield* left.up
  yield* engine.pause(yield* left.id("frozen"))
  process.stdout.write(`${root}\n`)
  return yield* Effect.never
}))

Effect.runFork(main)
