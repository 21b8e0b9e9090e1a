/**
 * A connection to the engine's side, as the front sees it.
 */
import { Duration, Effect, Option, Schema } from "effect"
import * as Net from "node:net"
import * as Path from "node:path"
import { errnoOf, reasonOf } from "../durable.ts"
import { stopwatch } from "../monotonic.ts"
import * as Trusted from "../trusted.ts"
import * as Lines from "./lines.ts"
import * as Protocol from "./protocol.ts"

/** The engine's side was not reached, or has said nothing that could be understood. */
export class EngineUnreached extends Schema.TaggedError<EngineUnreached>()("EngineUnreached", {
  reason: Schema.String,
  /** Nobody listens, which may be so for a moment. */
  isAbsent: Schema.Boolean
}) {
  override get message(): string {
    return this.reason
  }
}

export interface Connection {
  /** The next answer; none when the other side has gone. */
  readonly next: Effect.Effect<Option.Option<Protocol.Answer>, EngineUnreached>
  readonly say: (order: Protocol.Order) => Effect.Effect<void>
  /** Nothing more is said, and nothing more is waited for but the end of the other side. */
  readonly leave: Effect.Effect<void>
  readonly destroy: Effect.Effect<void>
}

const unreached = (reason: string, isAbsent = false) => new EngineUnreached({ reason, isAbsent })

const wordsOf = (socket: string, error: Error) => {
  switch (errnoOf(error)) {
    case "ENOENT":
    case "ECONNREFUSED":
      return unreached(`nobody listens on ${socket}: does 'quiesce agent engine' run?`, true)
    case "EACCES":
    case "EPERM":
      return unreached(
        `the socket ${socket} is closed to user ${process.geteuid?.() ?? "?"}: set engineGroup to a group of this user`
      )
    default:
      return unreached(`${socket}: ${reasonOf(error)}`)
  }
}

const connected = (socket: string) =>
  Effect.async<Net.Socket, EngineUnreached>((resume) => {
    const connection = Net.connect(socket)
    connection.once("error", (error) => resume(wordsOf(socket, error)))
    connection.once("connect", () => resume(Effect.succeed(connection)))
    return Effect.sync(() => connection.destroy())
  })

/** Waits for an answer, but not longer than the other side may be silent. */
const inbox = (connection: Net.Socket, silence: Duration.DurationInput): Connection["next"] => {
  const lines: Array<string> = []
  let end: "closed" | "too long" | undefined
  let wake: (() => void) | undefined
  const poke = () => {
    wake?.()
    wake = undefined
  }
  Lines.read(connection, Protocol.longestAnswer, {
    line: (text) => {
      lines.push(text)
      poke()
    },
    end: (isTooLong) => {
      end = isTooLong ? "too long" : "closed"
      poke()
    }
  })
  const arrived = Effect.async<void>((resume) => {
    if (lines.length > 0 || end !== undefined) return resume(Effect.void)
    wake = () => resume(Effect.void)
    return Effect.sync(() => {
      wake = undefined
    })
  })
  return arrived.pipe(
    Effect.timeoutFail({
      duration: silence,
      onTimeout: () => unreached(`the engine's side has said nothing for ${Duration.format(silence)}: it hangs`)
    }),
    Effect.zipRight(Effect.gen(function*() {
      const line = lines.shift()
      if (line === undefined && end === "closed") return Option.none()
      const answer = line === undefined ? Option.none() : Protocol.decodeAnswer(line)
      if (Option.isSome(answer)) return answer
      return yield* unreached("the answer of the engine's side was not understood: is it of another version?")
    }))
  )
}

export interface ConnectOptions {
  readonly socket: string
  /** How long the other side may say nothing. */
  readonly silence: Duration.DurationInput
  /** How long to try again while nobody listens. */
  readonly patience: Duration.DurationInput
}

/** Connects, and says the first line. */
export const connect = Effect.fnUntraced(
  function*({ patience, silence, socket }: ConnectOptions, request: string): Effect.fn.Return<
    Connection,
    EngineUnreached
  > {
    const spent = yield* stopwatch
    const attempt = Effect.gen(function*() {
      const connection = yield* connected(socket)
      // whoever could put another socket there could say that a snapshot exists which does not
      const flaw = yield* Trusted.flawOf(Path.dirname(socket))
      if (flaw === undefined) return connection
      connection.destroy()
      return yield* unreached(`the socket ${socket} cannot be trusted: ${flaw}`)
    })
    const connection = yield* Effect.retry(Effect.interruptible(attempt), {
      while: ({ isAbsent }) =>
        isAbsent
          ? spent.pipe(
            Effect.map((spent) => spent < Duration.toMillis(patience)),
            Effect.tap((again) => again ? Effect.interruptible(Effect.sleep("200 millis")) : Effect.void)
          )
          : Effect.succeed(false)
    })
    const next = inbox(connection, silence)
    const closed = Effect.async<void>((resume) => {
      if (connection.closed) return resume(Effect.void)
      connection.once("close", () => resume(Effect.void))
    })
    yield* Effect.sync(() => connection.write(request))
    return {
      next,
      say: (order) => Effect.sync(() => void (connection.writable && connection.write(Protocol.line(order)))),
      leave: Effect.zipRight(Effect.sync(() => void connection.end()), closed),
      destroy: Effect.sync(() => void connection.destroy())
    }
  }
)
