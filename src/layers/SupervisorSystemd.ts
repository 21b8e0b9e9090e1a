/**
 * systemd as the supervisor: the words of sd_notify(3), and a sign of life for its watchdog.
 *
 * They are sent by `systemd-notify`, because Node can open no datagram socket of the UNIX kind. So the unit must say
 * `NotifyAccess=all`: for systemd they come from a child.
 */
import { Chunk, Effect, Fiber, Layer, Mailbox, Option, Ref, Schedule, type Scope } from "effect"
import { unbroken } from "../internal/oneLine.ts"
import { explain, run } from "../internal/process.ts"
import * as Supervision from "../internal/supervision.ts"
import { Supervisor } from "../services/Supervisor.ts"

/** `systemd-notify` waits for systemd itself, for five seconds at most. */
const timeout = "8 seconds"

/** A word that did not get through is told again: without `READY=1` and signs of life systemd ends a process that is well. */
const again = Schedule.intersect(Schedule.spaced("1 second"), Schedule.recurs(5))

const send = (socket: string, words: ReadonlyArray<string>) =>
  run({ argv: ["systemd-notify", ...words], env: { NOTIFY_SOCKET: socket }, timeout }).pipe(
    Effect.mapError(({ message }) => message),
    Effect.filterOrFail(({ code, timedOut }) => code === 0 && !timedOut, explain),
    Effect.asVoid
  )

/** Of several states only the last is worth telling. */
const latest = (words: ReadonlyArray<string>) =>
  words.filter((word, index) =>
    !word.startsWith("STATUS=") || !words.slice(index + 1).some((later) => later.startsWith("STATUS="))
  )

const make = Effect.fnUntraced(function*(
  { socket, watchdogMs }: Supervision.Supervision
): Effect.fn.Return<Supervisor["Type"], never, Scope.Scope> {
  const scope = yield* Effect.scope
  const mailbox = yield* Mailbox.make<string>()
  const warned = yield* Ref.make(false)
  const tell = (words: ReadonlyArray<string>) =>
    Effect.retry(send(socket, words), again).pipe(
      Effect.catchAll((reason) =>
        Effect.flatMap(Ref.getAndSet(warned, true), (before) =>
          // without a supervisor that hears it the daemon still does its work
          before ? Effect.void : Effect.logWarning(`systemd is not told how this service is: ${reason}`))
      )
    )
  const delivering = yield* Effect.forkScoped(Effect.repeat(
    Effect.flatMap(
      mailbox.takeAll,
      ([words, isLast]) =>
        Effect.as(Chunk.isEmpty(words) ? Effect.void : tell(latest(Chunk.toReadonlyArray(words))), isLast)
    ),
    { until: (isLast) => isLast }
  ))
  // the last words go out before the process ends, but it does not wait long for a systemd that hangs
  yield* Effect.addFinalizer(() =>
    Effect.zipRight(mailbox.end, Fiber.await(delivering)).pipe(
      Effect.disconnect,
      Effect.timeoutOption("2 seconds")
    )
  )
  const word = (text: string) => Effect.asVoid(mailbox.offer(text))
  // from the event loop: a process whose loop stands still sends none
  const beat = watchdogMs === undefined ? Effect.void : Effect.forkIn(
    Effect.repeat(word("WATCHDOG=1"), Schedule.spaced(watchdogMs / 2)),
    scope
  )
  return {
    ready: Effect.zipRight(word("READY=1"), beat),
    // a control character would end the line, and so begin another word
    status: (text) => word(`STATUS=${unbroken(text)}`),
    stopping: word("STOPPING=1")
  }
})

/** systemd, where it has started this process as a service of `Type=notify`; else nobody. Needs `systemd-notify`. */
export const layer: Layer.Layer<never> = Layer.unwrapScoped(
  Effect.map(
    Supervision.read(process.pid),
    Option.match({
      onNone: () => Layer.empty,
      onSome: (found) => Layer.scoped(Supervisor, make(found))
    })
  )
)
