/**
 * The file that binds a state directory to the machine that first used it.
 *
 * A clone beside its original holds the same token and the same marker. Should it ask for a backup, its own app would be
 * stopped and the storage of the original be called consistent.
 */
import { Effect, Either, Option, Schema } from "effect"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { OtherMachine } from "../services/MarkerStore.ts"
import { DurableFailed, errnoOf, reasonOf, removeDurably, syncDirectory, writeDurably } from "./durable.ts"
import * as Machine from "./machine.ts"

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = Fs.constants

const MachineJson = Schema.parseJson(Schema.Struct({ version: Schema.Literal(1), ...Machine.Machine.fields }))

const pathOf = (stateDir: string) => Path.join(stateDir, "machine")

/** Who this machine is; of tests. */
export interface Options {
  readonly stateDir: string
  readonly machine?: Effect.Effect<Machine.Machine> | undefined
}

/** Whether the directory is bound; fails when it is bound to another machine. Changes nothing. */
export const check = Effect.fnUntraced(function*({ machine = Machine.read(), stateDir }: Options) {
  const file = pathOf(stateDir)
  const text = yield* Effect.tryPromise({
    try: () =>
      Fs.open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        .then((handle) => handle.readFile("utf8").finally(() => handle.close()))
        .catch((error: unknown) => {
          if (errnoOf(error) !== "ENOENT" && errnoOf(error) !== "ENOTDIR") throw error
        }),
    catch: (error) => new OtherMachine({ file, reason: `it cannot be read (${reasonOf(error)})` })
  })
  if (text === undefined) return false
  const bound = Schema.decodeEither(MachineJson)(text)
  // what cannot be told must not end in a false claim
  if (Either.isLeft(bound)) return yield* new OtherMachine({ file, reason: "it does not say whose it is" })
  const differs = Machine.difference(bound.right, yield* machine)
  if (Option.isSome(differs)) return yield* new OtherMachine({ file, reason: `${differs.value} was another one there` })
  return true
})

/** Binds a directory, which must be there, unless it is bound. A power loss does not undo it. */
export const bind = (options: Options): Effect.Effect<void, OtherMachine | DurableFailed> =>
  Effect.gen(function*() {
    const { machine = Machine.read(), stateDir } = options
    if (yield* check(options)) return
    const content = yield* Effect.orDie(Schema.encode(MachineJson)({ version: 1, ...yield* machine }))
    // two processes may do this at once
    const name = `.machine-${Crypto.randomUUID()}`
    yield* writeDurably(stateDir, [{ name, content: `${content}\n` }])
    yield* Effect.tryPromise({
      try: () => Fs.rename(Path.join(stateDir, name), pathOf(stateDir)),
      catch: (error) => new DurableFailed({ path: pathOf(stateDir), reason: reasonOf(error) })
    }).pipe(Effect.tapError(() => Effect.ignore(removeDurably(stateDir, [name]))))
    yield* syncDirectory(stateDir)
  }).pipe(Effect.uninterruptible)
