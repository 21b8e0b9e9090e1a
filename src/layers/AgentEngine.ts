/**
 * The side of a divided agent that has root: the engines of the guests, as its own reading of the configuration has them,
 * for the front on a UNIX socket.
 */
import { Effect, Option, type Scope } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { errnoOf, reasonOf } from "../internal/durable.ts"
import * as EngineServer from "../internal/engine/server.ts"
import * as StateDir from "../internal/stateDir.ts"
import * as Trusted from "../internal/trusted.ts"
import * as Host from "../internal/vzdump/host.ts"
import * as Tasks from "../internal/vzdump/tasks.ts"
import type { ResolvedAgentFile, ResolvedDivision } from "./AgentConfigFile.ts"
import type { AgentHostOptions } from "./AgentHost.ts"
import * as AgentLock from "./AgentLock.ts"
import { AgentFailed } from "./AgentWorkspace.ts"
import * as MainEngine from "./MainEngine.ts"

const refuse = (reason: string) => new AgentFailed({ reason, busy: false })
const failed = Effect.mapError((error: { readonly message: string }) => refuse(error.message))

/** The front must not be able to write what this side believes. */
const trust = (path: string, what: string) =>
  Effect.flatMap(
    Trusted.flawOf(path),
    (flaw) => flaw === undefined ? Effect.void : refuse(`${what} ${path} cannot be trusted with root: ${flaw}`)
  )

/** The id of the group, by group(5); what a directory service knows alone must be a number. */
const groupOf = Effect.fnUntraced(function*({ group, socket }: ResolvedDivision) {
  if (group === undefined) {
    const directory = Path.dirname(socket)
    return yield* Effect.tryPromise({
      try: () => Fs.stat(directory).then(({ gid }) => gid),
      catch: (error) => refuse(`${directory}: ${reasonOf(error)}`)
    })
  }
  if (/^\d+$/.test(group)) return Number(group)
  const text = yield* Effect.promise(() => Fs.readFile("/etc/group", "utf8").catch(() => ""))
  const id = text.split("\n").map((line) => line.split(":")).find(([name]) => name === group)?.[2]
  return id === undefined
    ? yield* refuse(`engineGroup: there is no group '${group}' in /etc/group`)
    : Number(id)
})

/** Whoever has the directory has the socket: made where it is missing, and refused when others can write it. */
const prepareDirectory = Effect.fnUntraced(function*(directory: string) {
  yield* Effect.tryPromise({
    try: () =>
      Fs.mkdir(directory, { mode: 0o755 }).catch((error: unknown) => {
        if (errnoOf(error) !== "EEXIST") throw error
      }),
    catch: (error) => refuse(`the directory of engineSocket, ${directory}: ${reasonOf(error)}`)
  })
  yield* trust(directory, "the directory of engineSocket,")
})

/** Serves until the scope closes. Backups of vzdump go on by themselves then; those of the agent's own engines end. */
export const serve = Effect.fn("AgentEngine.serve")(function*(
  config: ResolvedAgentFile,
  { vzdumpHost }: Pick<AgentHostOptions, "vzdumpHost">
): Effect.fn.Return<{ readonly socket: string }, AgentFailed, Scope.Scope> {
  const { division, file, guests } = config
  if (division === undefined) return yield* refuse(`${file} has no engineSocket: 'quiesce agent' alone does everything`)
  const { socket, stateDir } = division
  yield* trust(file, "the configuration")
  yield* AgentLock.take(stateDir)
  yield* trust(stateDir, "engineStateDir,")
  yield* prepareDirectory(Path.dirname(socket))
  const above = Path.dirname(MainEngine.ofGuest(stateDir, "-"))
  yield* failed(StateDir.ensure(above))
  const served = yield* Effect.forEach(guests, (guest) => {
    // the runs of a guest in a directory of its own: no other guest's name leads to them
    const own = MainEngine.ofGuest(stateDir, guest.name)
    return failed(MainEngine.make(guest, { runs: own, own, vzdumpHost })).pipe(
      Effect.map((engine) =>
        [guest.name, {
          engine,
          task: guest.engine._tag === "Vzdump"
            ? Tasks.present({ ...Host.defaults, ...vzdumpHost })
            : Effect.succeed(Option.none())
        }] as const
      )
    )
  })
  yield* failed(EngineServer.serve({ socket, group: yield* groupOf(division), guests: new Map(served) }))
  yield* Effect.logInfo(`listens on ${socket}`)
  return { socket }
})
