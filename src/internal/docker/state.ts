/**
 * What the engine says of a container, in the words of a stack.
 */
import type { UnitState } from "../../domain/Stack.ts"
import type { Identity } from "./identity.ts"
import type { Container } from "./schemas.ts"

/** A state, and what a person should know of it. */
export interface Seen {
  readonly state: UnitState
  readonly detail: string
  readonly frozen?: true
  readonly ended?: true
}

const seen = (state: UnitState, detail: string, more: Pick<Seen, "frozen" | "ended"> = {}): Seen => ({
  state,
  detail,
  ...more
})

/** 128 and SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV: no program ends by these when it is asked to end. */
const killed: ReadonlySet<number> = new Set([4, 5, 6, 7, 8, 9, 11].map((signal) => 128 + signal))

/** It was ended by SIGKILL, or has crashed: what it had not written by then is lost. */
export const wasKilled = ({ State: { ExitCode, OOMKilled } }: Container): boolean => killed.has(ExitCode) || OOMKilled

const exitDetail = ({ State: { Error, ExitCode, OOMKilled, Status } }: Container) =>
  `${Status}, exit code ${ExitCode}${OOMKilled ? ", out of memory" : ""}${Error === "" ? "" : `: ${Error}`}`

/**
 * The state as it is before a run. What is paused is left as it is: somebody wanted that. What restarts again and again
 * is neither up nor down.
 */
export const plain = (container: Container): Seen => {
  const { Status } = container.State
  switch (Status) {
    case "running":
      return seen("running", "running")
    case "paused":
      return seen("stopped", "paused", { frozen: true })
    case "restarting":
      return seen("changing", `it restarts again and again; ${exitDetail(container)}`)
    case "removing":
      return seen("changing", "it is being removed")
    case "created":
    case "exited":
    case "dead":
      return seen("stopped", exitDetail(container), { ended: true })
    default:
      return seen("unknown", `the engine calls it '${Status}'`)
  }
}

/** The state of a unit that a run holds or has held: what was paused by somebody else is not up. */
export const held = (container: Container, how: Identity["how"]): Seen => {
  const now = plain(container)
  return container.State.Status === "paused" && how !== "pause"
    ? seen("unknown", "it is paused, and not by us; unpause it")
    : now
}

/** Changes when the container has been started again, has crashed, or is another one. */
export const stampOf = ({ Id, RestartCount, State: { FinishedAt, StartedAt } }: Container): string =>
  [Id.slice(0, 12), StartedAt, FinishedAt, RestartCount].join(" ")
