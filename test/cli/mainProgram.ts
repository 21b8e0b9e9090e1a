/**
 * A program under the main runtime of the binary, for a test to send signals to. It says `held` when it holds something,
 * and `released` when it has given it back.
 */
import { Effect, Schema } from "effect"
import { main } from "../../src/cli/main.ts"

class Failed extends Schema.TaggedError<Failed>()("Failed", { exitCode: Schema.Number }) {}

const mode = process.argv[2]

const say = (text: string) => Effect.sync(() => process.stderr.write(`${text}\n`))

const hold = (release: Effect.Effect<unknown>) =>
  Effect.acquireRelease(say("held"), () => release.pipe(Effect.delay("600 millis"), Effect.zipRight(say("released"))))

const inCallback = (act: () => void) => Effect.sync(() => void setTimeout(act, 10))

main(({ concluded, interrupted }) =>
  Effect.scoped(Effect.gen(function*() {
    yield* hold(
      mode === "app-down" ? concluded(4) : Effect.flatMap(interrupted, (code) => say(`interrupted ${code ?? "not"}`))
    )
    switch (mode) {
      case "end":
        return
      case "fail":
        return yield* new Failed({ exitCode: 7 })
      case "die":
        return yield* Effect.dieMessage("a defect")
      case "throw":
        yield* inCallback(() => {
          throw new Error("thrown in a callback")
        })
        break
      case "reject":
        yield* inCallback(() => void Promise.reject(new Error("rejected")))
        break
      case "write":
        yield* Effect.sync(() => process.stdout.write("x".repeat(1_000_000)))
        return
      case "write-and-hold":
        yield* Effect.sync(() => process.stdout.write("x".repeat(1_000_000)))
        break
      case "chatter":
        for (let n = 0; n < 20; n++) {
          yield* Effect.sync(() => process.stdout.write("a line\n"))
          yield* Effect.sleep("20 millis")
        }
        return
    }
    return yield* Effect.never
  }))
)
