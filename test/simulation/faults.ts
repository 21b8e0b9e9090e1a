/**
 * What can go wrong at a boundary: every call of a service, and every step of an engine, is one.
 */

/** What happens to a call. `power` is the loss of it on the machine of the app: what was not synced is gone. */
export const kinds = [
  "kill-before",
  "kill-after",
  "kill-during",
  "power-before",
  "power-after",
  "power-during",
  "signal",
  "error-before",
  "error-after",
  "hang",
  "hang-after",
  "slow",
  "lie",
  "agent-kill",
  "user-start",
  "user-stop",
  "suspend",
  "clock-forward",
  "clock-back"
] as const
export type Kind = (typeof kinds)[number]

/** The nth boundary of a history (from 0) has this. */
export interface Fault {
  readonly at: number
  readonly kind: Kind
}

/** Where a boundary is. */
export type Place = "lock" | "dead-man" | "marker" | "look" | "act" | "agent" | "engine" | "journal" | "memory"

const everywhere: ReadonlyArray<Kind> = ["kill-before", "kill-after"]
const onTheMachine: ReadonlyArray<Kind> = [...everywhere, "power-before", "power-after", "signal"]
const failing: ReadonlyArray<Kind> = ["error-before", "error-after"]
const waiting: ReadonlyArray<Kind> = ["hang", "hang-after", "slow"]

/** The kinds that make sense at a place. A disk that hangs is a frozen file system; a lock neither waits nor lies. */
export const kindsAt: Record<Place, ReadonlyArray<Kind>> = {
  lock: [...onTheMachine, "error-before"],
  "dead-man": [...onTheMachine, "error-before"],
  marker: [...onTheMachine, ...failing, "hang", "slow"],
  look: [
    ...onTheMachine,
    "error-before",
    "hang",
    "slow",
    "lie",
    "user-start",
    "user-stop",
    "suspend",
    "clock-forward",
    "clock-back"
  ],
  act: [...onTheMachine, "kill-during", "power-during", ...failing, ...waiting, "lie", "user-start", "user-stop"],
  agent: [...onTheMachine, ...failing, ...waiting, "lie", "agent-kill", "suspend", "clock-forward", "clock-back"],
  engine: [...everywhere, ...failing, "hang", "slow", "user-start", "user-stop"],
  journal: [...everywhere, ...failing],
  memory: [...onTheMachine, ...failing]
}

/** A fault as it is printed and read: `17:kill-after`. */
export const show = (faults: ReadonlyArray<Fault>): string => faults.map(({ at, kind }) => `${at}:${kind}`).join(",")

/** Reads what `show` has printed. */
export const read = (text: string): ReadonlyArray<Fault> =>
  text === "" ? [] : text.split(",").map((part) => {
    const [at = "", name] = part.split(":")
    const kind = kinds.find((one) => one === name)
    if (kind === undefined || !/^\d+$/.test(at)) throw new Error(`'${part}' is no fault, as 17:kill-after is one`)
    return { at: Number(at), kind }
  })
