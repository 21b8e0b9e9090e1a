/**
 * What systemd gives a service for telling it how it is (sd_notify(3), sd_watchdog_enabled(3)).
 */
import { Config, Effect, Option } from "effect"

/** The variables that are meant for this process alone. */
const names = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"] as const

/**
 * An environment without them. An app that this program starts may speak the protocol too, as PostgreSQL does: its
 * `STOPPING=1` would be taken for ours, and the end of a backup is then the end of the daemon.
 */
export const unsupervised = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({
  ...environment,
  ...Object.fromEntries(names.map((name) => [name, undefined]))
})

export interface Supervision {
  readonly socket: string
  /** How many milliseconds without a sign of life it takes for a dead process; nothing when it does not look. */
  readonly watchdogMs: number | undefined
}

const variable = (name: (typeof names)[number]) =>
  Config.string(name).pipe(
    Config.option,
    Effect.orElseSucceed(() => Option.none<string>()),
    Effect.map((value) => Option.getOrElse(value, () => ""))
  )

/** Read from the environment of the process with this id; none where nobody listens. */
export const read = Effect.fnUntraced(function*(pid: number): Effect.fn.Return<Option.Option<Supervision>> {
  const socket = yield* variable("NOTIFY_SOCKET")
  if (socket === "") return Option.none()
  const owner = yield* variable("WATCHDOG_PID")
  const micros = Number(yield* variable("WATCHDOG_USEC"))
  // a variable that a parent was given and has passed on is not ours
  const watched = Number.isSafeInteger(micros) && micros > 0 && (owner === "" || owner === String(pid))
  return Option.some({ socket, watchdogMs: watched ? micros / 1_000 : undefined })
})
