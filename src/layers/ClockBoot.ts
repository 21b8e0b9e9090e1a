/**
 * The clock of a machine that may sleep: limits go on while it does.
 *
 * `process.hrtime` is CLOCK_MONOTONIC, which stands still while the machine is suspended (clock_gettime(2)); the first field
 * of /proc/uptime is CLOCK_BOOTTIME (proc(5)), which goes on. Neither changes when the wall clock is set.
 */
import { Clock, Effect, Layer } from "effect"
import { readFileSync } from "node:fs"

/** Where the times come from. */
export interface ClockBootOptions {
  /** Nanoseconds of a clock that stands still in a sleep. */
  readonly monotonic: () => bigint
  /** Seconds of one that does not; `undefined` where it cannot be read. */
  readonly uptime: () => number | undefined
}

/** /proc/uptime has hundredths of a second, and the two are not read at the same time. */
const tolerance = 1_000_000_000n
/** How often, in nanoseconds, it is looked for a sleep. */
const glance = 200_000_000n

/** A clock whose nanoseconds count the sleep of the machine; the wall clock and the timers are those of Node. */
export const make = ({ monotonic, uptime }: ClockBootOptions): Clock.Clock => {
  const node = Clock.make()
  const ahead = () => {
    const seconds = uptime()
    return seconds === undefined ? undefined : BigInt(Math.round(seconds * 1e9)) - monotonic()
  }
  const initially = ahead()
  let slept = 0n
  let looked = monotonic()
  const now = () => {
    const awake = monotonic()
    if (initially !== undefined && awake - looked >= glance) {
      looked = awake
      const since = (ahead() ?? initially) - initially
      // a time that has been told is never taken back
      if (since - slept > tolerance) slept = since
    }
    return awake + slept
  }
  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => node.unsafeCurrentTimeMillis(),
    currentTimeMillis: node.currentTimeMillis,
    sleep: (duration) => node.sleep(duration),
    unsafeCurrentTimeNanos: now,
    currentTimeNanos: Effect.sync(now)
  }
}

const procUptime = (): number | undefined => {
  try {
    const seconds = Number(readFileSync("/proc/uptime", "latin1").split(" ", 1)[0])
    return Number.isFinite(seconds) ? seconds : undefined
  } catch {
    return undefined
  }
}

/** The clock of this machine. */
export const layer: Layer.Layer<never> = Layer.suspend(() =>
  Layer.setClock(make({ monotonic: () => process.hrtime.bigint(), uptime: procUptime }))
)
