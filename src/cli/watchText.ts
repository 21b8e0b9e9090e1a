/**
 * What the daemon tells, for people: one line for each event.
 */
import type { WatchEvent } from "../domain/WatchEvent.ts"
import { unbroken } from "../internal/oneLine.ts"

const because = (reason: string | null) => reason === null || reason === "" ? "" : `: ${reason}`

const causes = { schedule: "it is due", missed: "it was due and was missed", request: "the agent asks for it" } as const

const outcomes = {
  "ok": "ok",
  "ok-degraded": "the backup is finished, but not application consistent",
  "backup-failed": "there is no backup; the app is up",
  "aborted": "stopped before the end; the app is up",
  "busy": "given up, because another one is still under way",
  "refused": "refused, nothing was touched",
  "resume-failed": "THE APP IS NOT UP"
} as const

/** The event in words. */
export const words = (event: WatchEvent): string => {
  switch (event.event) {
    case "started":
      return "watching"
    case "recovered":
      return [
        ...event.recovered.map(({ stack, unit }) => `${stack}/${unit} was left down and is up again`),
        ...event.warnings
      ].join("; ")
    case "down":
      return `THE APP IS NOT UP${because(event.reason)}; recover is tried until it is, and no backup begins before`
    case "next":
      return event.begins === null ? "waiting until the agent asks" : `the next run begins at ${event.begins}`
    case "run":
      return `run ${event.runId}: ${causes[event.cause]}`
    case "waiting":
      return event.because === "busy"
        ? `waiting, another run or backup is under way${because(event.reason)}`
        : `waiting for the agent${because(event.reason)}`
    case "ended":
      return `run ${event.runId}: ${event.outcome === null ? "broke off" : outcomes[event.outcome]}${
        because(event.reason)
      }`
    case "skipped":
      return `the run that was due at ${event.due} is skipped${because(event.reason)}`
    case "agent-away":
      return `the agent is away${because(event.reason)}; it is asked again and again`
    case "agent-back":
      return "the agent is back"
    case "warning":
      return `warning: ${event.message}`
    case "stopped":
      return event.down ? "stopped, and THE APP IS NOT UP; mend the cause, then: quiesce recover" : "stopped"
  }
}

export const line = (event: WatchEvent): string => `quiesce watch: ${unbroken(words(event))}\n`
