/**
 * The hook's question to the agent of this host.
 */
import { Duration, Effect, Schema } from "effect"
import * as Net from "node:net"
import { errnoOf } from "../durable.ts"
import { Answer, type HookAnswer, longest, Question } from "./hookProtocol.ts"

/** No answer came. */
export class HookUnanswered extends Schema.TaggedError<HookUnanswered>()("HookUnanswered", {
  reason: Schema.String,
  timedOut: Schema.Boolean
}) {
  override get message(): string {
    return this.reason
  }
}

const unanswered = (reason: string, timedOut = false) => new HookUnanswered({ reason, timedOut })

const wordsOf = (socket: string, error: unknown) => {
  switch (errnoOf(error)) {
    case "ENOENT":
      return `no agent has been started: there is no socket ${socket}`
    case "ECONNREFUSED":
      return `the agent does not run: nobody listens on ${socket}`
    case "EACCES":
    case "EPERM":
      return `the socket ${socket} is closed to us: run as the user of the agent`
    default:
      return `${socket}: ${error instanceof Error ? error.message : String(error)}`
  }
}

/** One line out and one line in. An interruption closes the connection, which takes the question back. */
const exchange = (socket: string, line: string) =>
  Effect.async<string, HookUnanswered>((resume) => {
    const connection = Net.connect(socket, () => connection.write(`${line}\n`))
    let text = Buffer.alloc(0)
    connection.on("data", (chunk) => {
      text = Buffer.concat([text, chunk])
      const end = text.indexOf(10)
      if (end === -1 && text.length <= 4 * longest) return
      resume(Effect.succeed(text.subarray(0, Math.max(0, end)).toString("utf8")))
      connection.destroy()
    })
    connection.on("error", (error) => resume(unanswered(wordsOf(socket, error))))
    connection.once("close", () => resume(unanswered("the agent went away without an answer")))
    return Effect.sync(() => connection.destroy())
  })

/** Asks that the guest be quiet, and waits for the answer for as long as it is told. */
export const ask = Effect.fn("HookClient.ask")(function*(options: {
  readonly socket: string
  readonly vmid: number
  readonly wait: Duration.Duration
}): Effect.fn.Return<HookAnswer, HookUnanswered> {
  const { socket, vmid, wait } = options
  const line = yield* Effect.orDie(
    Schema.encode(Question)({ version: 1, vmid, waitMs: Math.round(Duration.toMillis(wait)) })
  )
  const answer = yield* Effect.timeoutFail(exchange(socket, line), {
    duration: wait,
    onTimeout: () => unanswered("no answer in time", true)
  })
  return yield* Effect.mapError(
    Schema.decode(Answer)(answer),
    () => unanswered("the answer of the agent was not understood: is it of another version?")
  )
})
