/**
 * Where the hook of vzdump asks: a socket of this host, for root alone.
 */
import { Effect, Either, FiberSet, Option, Schema, type Scope } from "effect"
import * as Fs from "node:fs/promises"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Upid from "../../domain/Upid.ts"
import type { Jobs } from "../agent/jobs.ts"
import { errnoOf, reasonOf } from "../durable.ts"
import * as StateDir from "../stateDir.ts"
import * as Host from "./host.ts"
import { Answer, type HookAnswer, type HookQuestion, longest, Question } from "./hookProtocol.ts"
import * as Tasks from "./tasks.ts"

/** Nobody could ask. */
export class HookServerFailed extends Schema.TaggedError<HookServerFailed>()("HookServerFailed", {
  socket: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `the socket of the vzdump hook, ${this.socket}: ${this.reason}`
  }
}

export interface HookServerOptions {
  readonly socket: string
  /** The backups of the guests by their vmid. */
  readonly guests: ReadonlyMap<number, Pick<Jobs, "guest" | "hosted">>
  readonly host?: Partial<Host.VzdumpHost> | undefined
  /** The vzdump that runs on the host, for whoever cannot look for himself. `guest` is who is asked for. */
  readonly task?: ((guest: string) => Effect.Effect<Option.Option<Upid.Upid>, { readonly message: string }>) | undefined
}

/** A question is asked at once. */
const questionLimit = "5 seconds"
const maxConnections = 32
/** The hook gives up first: so it is the one that says for how long nobody has answered. */
const patience = 5_000

const answerOf = Effect.fn("HookServer.answer")(function*(
  { guests, host, task = () => Tasks.present({ ...Host.defaults, ...host }) }: HookServerOptions,
  { vmid, waitMs }: HookQuestion
): Effect.fn.Return<HookAnswer> {
  const jobs = guests.get(vmid)
  if (jobs === undefined) return { _tag: "NotOurs" }
  const { guest } = jobs
  const found = yield* Effect.either(task(guest))
  if (Either.isLeft(found)) {
    return { _tag: "NotQuiet", guest, reason: `the task of this vzdump was not found: ${found.left.message}` }
  }
  const upid = found.right
  if (Option.isNone(upid)) {
    return { _tag: "NotQuiet", guest, reason: "the task of this vzdump was not found: no UPID of one that runs" }
  }
  const { id } = Upid.decode(upid.value)
  if (id !== "" && id !== `${vmid}`) {
    return { _tag: "NotQuiet", guest, reason: `the vzdump that runs on this host is one of guest ${id}` }
  }
  const answer = yield* jobs.hosted(upid.value, waitMs + patience)
  return answer.quiet
    ? { _tag: "Quiet", guest, runId: answer.runId }
    : { _tag: "NotQuiet", guest, reason: answer.reason }
})

/** The first line; nothing when the other side goes, or says too much. */
const lineOf = (socket: Net.Socket) =>
  Effect.async<Option.Option<string>>((resume) => {
    let text = Buffer.alloc(0)
    let isWhole = false
    // goes on to the end: only a socket that is read tells that the other side has closed it
    socket.on("data", (chunk) => {
      if (isWhole) return
      text = Buffer.concat([text, chunk])
      const end = text.indexOf(10)
      isWhole = end !== -1 || text.length > longest
      if (!isWhole) return
      resume(Effect.succeed(
        end !== -1 && end <= longest ? Option.some(text.subarray(0, end).toString("utf8")) : Option.none()
      ))
    })
  })

const closed = (socket: Net.Socket) =>
  Effect.async<void>((resume) => {
    if (socket.destroyed) return resume(Effect.void)
    socket.once("close", () => resume(Effect.void))
  })

const converse = (options: HookServerOptions, socket: Net.Socket) =>
  Effect.gen(function*() {
    const line = Option.flatten(yield* Effect.timeoutOption(lineOf(socket), questionLimit))
    const question = Option.flatMap(line, Schema.decodeUnknownOption(Question))
    const answer: HookAnswer = Option.isSome(question)
      ? yield* answerOf(options, question.value)
      : { _tag: "NotQuiet", reason: "the question was not understood: is the hook of another version?" }
    const text = yield* Effect.orDie(Schema.encode(Answer)(answer))
    yield* Effect.sync(() => socket.end(`${text}\n`))
  }).pipe(
    Effect.raceFirst(closed(socket)),
    Effect.onExit(() => Effect.sync(() => socket.destroySoon()))
  )

/** A socket that nobody listens on was left by a dead agent. */
const removeStale = (socket: string) =>
  Effect.async<boolean>((resume) => {
    const client = Net.connect(socket)
    client.once("connect", () => {
      client.destroy()
      resume(Effect.succeed(true))
    })
    client.on("error", () => resume(Effect.succeed(false)))
  }).pipe(
    Effect.flatMap((isHeard) =>
      isHeard
        ? new HookServerFailed({ socket, reason: "another agent listens there" })
        : Effect.tryPromise({
          try: () =>
            Fs.lstat(socket).then((found) => {
              if (!found.isSocket()) throw new Error("it is not a socket; look who made it, and remove it")
              return Fs.unlink(socket)
            }).catch((error: unknown) => {
              if (errnoOf(error) !== "ENOENT") throw error
            }),
          catch: (error) => new HookServerFailed({ socket, reason: reasonOf(error) })
        })
    )
  )

/** Listens until the scope closes. Who asks and goes away again has asked for nothing. */
export const serve = (options: HookServerOptions): Effect.Effect<void, HookServerFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const { socket } = options
    const failed = (error: unknown) => new HookServerFailed({ socket, reason: reasonOf(error) })
    yield* Effect.mapError(StateDir.ensure(Path.dirname(socket)), failed)
    yield* removeStale(socket)
    const fork = yield* FiberSet.makeRuntime<never>()
    const connections = new Set<Net.Socket>()
    yield* Effect.acquireRelease(
      Effect.async<Net.Server, HookServerFailed>((resume) => {
        const server = Net.createServer({ allowHalfOpen: false }, (connection) => {
          connections.add(connection)
          connection.on("error", () => undefined)
          connection.once("close", () => connections.delete(connection))
          fork(converse(options, connection))
        })
        server.maxConnections = maxConnections
        server.once("error", (error) => resume(Effect.fail(failed(error))))
        server.listen(socket, () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          for (const connection of connections) connection.destroy()
        })
    )
    yield* Effect.tryPromise({ try: () => Fs.chmod(socket, 0o600), catch: failed })
  })
