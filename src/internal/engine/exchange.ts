/**
 * One connection of the front, as the engine's side sees it: a request, and in the course of a backup an order to each
 * question. Whatever else is said ends it.
 */
import { Deferred, Effect, Option } from "effect"
import type * as Net from "node:net"
import * as Lines from "./lines.ts"
import * as Protocol from "./protocol.ts"

type Verdict = Exclude<Protocol.Order, { readonly _tag: "Cancel" }>

export interface Exchange {
  /** The first line; nothing when there will be none, or it is too long. */
  readonly request: Effect.Effect<Option.Option<string>>
  readonly tell: (answer: Protocol.Answer) => Effect.Effect<void>
  /** Tells a question, and waits for what the front says to it. */
  readonly ask: (to: Protocol.Question, question: Protocol.Answer) => Effect.Effect<Verdict>
  /** The front has gone, has cancelled, or has said what it may not. */
  readonly stopped: Effect.Effect<void>
  readonly isCancelled: Effect.Effect<boolean>
  /** Tells the last answer and closes the connection. */
  readonly end: (answer?: Protocol.Answer) => Effect.Effect<void>
}

/** How long the front may take to read the last answer. */
const flushLimit = "10 seconds"

/** `onRejected` is told of a line that may not be said. */
export const make = (socket: Net.Socket, onRejected: () => void): Effect.Effect<Exchange> =>
  Effect.gen(function*() {
    const first = yield* Deferred.make<Option.Option<string>>()
    const stopped = yield* Deferred.make<void>()
    const closed = yield* Deferred.make<void>()
    let isAsked = false
    let isOver = false
    let isCancelled = false
    let open: { readonly to: Protocol.Question; readonly verdict: Deferred.Deferred<Verdict> } | undefined

    const write = (answer: Protocol.Answer) => {
      if (!isOver && socket.writable) socket.write(Protocol.line(answer))
    }
    const stop = () => Deferred.unsafeDone(stopped, Effect.void)
    const reject = (reason: string) => {
      if (isOver) return
      write({ _tag: "Rejected", reason })
      onRejected()
      isOver = true
      Deferred.unsafeDone(first, Effect.succeed(Option.none()))
      stop()
    }
    const take = (text: string) => {
      if (isOver || isCancelled) return
      if (!isAsked) {
        isAsked = true
        return Deferred.unsafeDone(first, Effect.succeed(Option.some(text)))
      }
      const order = Option.getOrUndefined(Protocol.decodeOrder(text))
      if (order === undefined) return reject("this line is no order")
      if (order._tag === "Cancel") {
        isCancelled = true
        return stop()
      }
      if (open?.to !== order.to) return reject("nobody has asked for this")
      const { verdict } = open
      open = undefined
      Deferred.unsafeDone(verdict, Effect.succeed(order))
    }

    Lines.read(socket, Protocol.longestOrder, {
      line: take,
      end: (isTooLong) => {
        if (isTooLong) return reject("this line is too long")
        Deferred.unsafeDone(first, Effect.succeed(Option.none()))
        stop()
      }
    })
    socket.once("close", () => Deferred.unsafeDone(closed, Effect.void))

    return {
      request: Deferred.await(first),
      tell: (answer) => Effect.sync(() => write(answer)),
      ask: (to, question) =>
        Effect.flatMap(Deferred.make<Verdict>(), (verdict) =>
          Effect.zipRight(
            Effect.sync(() => {
              open = { to, verdict }
              write(question)
            }),
            Deferred.await(verdict)
          )),
      stopped: Deferred.await(stopped),
      isCancelled: Effect.sync(() => isCancelled),
      end: (answer) =>
        Effect.sync(() => {
          if (answer !== undefined) write(answer)
          isOver = true
          socket.end()
        }).pipe(
          Effect.zipRight(Effect.timeoutOption(Deferred.await(closed), flushLimit)),
          Effect.ensuring(Effect.sync(() => socket.destroy())),
          Effect.asVoid
        )
    }
  })
