/**
 * What counts as up: the health test of a container, and how long it may take to pass.
 */
import { Duration, Effect, Option } from "effect"
import type { Engine } from "./engine.ts"
import type { Container, Healthcheck } from "./schemas.ts"
import type { Health } from "./settings.ts"

/** `exec`: its test passes, run by us. `docker`: the engine says healthy. `running`: nothing more than that it runs. */
export type Gate = "exec" | "docker" | "running"

/** The defaults of a health check (Dockerfile reference, HEALTHCHECK). */
const defaults = { interval: 30_000, timeout: 30_000, retries: 3 } as const

const millis = (nanoseconds: number, fallback: number) => nanoseconds > 0 ? nanoseconds / 1e6 : fallback

/** The words to run in the container; nothing where there is no test. */
export const testOf = ({ Config: { Healthcheck, Shell } }: Container): ReadonlyArray<string> | undefined => {
  const [kind, ...words] = Healthcheck?.Test ?? []
  if (words.length === 0) return undefined
  if (kind === "CMD") return words
  if (kind === "CMD-SHELL") return [...Shell ?? ["/bin/sh", "-c"], ...words]
  return undefined
}

/** Milliseconds in which the engine itself would have come to a verdict: start period, and all retries. */
export const budgetMs = (check: Healthcheck): number =>
  millis(check.StartPeriod, 0) +
  (check.Retries > 0 ? check.Retries : defaults.retries) *
    (millis(check.Interval, defaults.interval) + millis(check.Timeout, defaults.timeout))

/**
 * The gate of a container as it is now. What is unhealthy before a run cannot be asked to be healthy after it.
 */
export const gateOf = (container: Container, wanted: Health): Gate =>
  wanted === "none" || testOf(container) === undefined || container.State.Health?.Status === "unhealthy"
    ? "running"
    : wanted

/** The longest wait for one try of the test: the try after it comes soon anyway. */
const patience = Duration.seconds(10)

/** Whether a running container is up by its gate; why not, otherwise. */
export const isUp = (
  engine: Engine,
  container: Container,
  gate: Gate
): Effect.Effect<Option.Option<string>> => {
  const test = testOf(container)
  const status = container.State.Health?.Status ?? ""
  if (gate === "running" || test === undefined || status === "healthy") return Effect.succeedNone
  const waiting = `its health is '${status}'`
  if (gate === "docker") return Effect.succeedSome(waiting)
  const limit = Duration.min(
    patience,
    Duration.millis(millis(container.Config.Healthcheck?.Timeout ?? 0, defaults.timeout))
  )
  return engine.exec(container.Id, test, limit).pipe(
    Effect.map(({ exitCode, output }) =>
      exitCode === 0
        ? Option.none<string>()
        : Option.some(
          `${waiting}, its test ended with ${exitCode}${output === "" ? "" : `: ${output.split("\n").at(-1)}`}`
        )
    ),
    Effect.catchAll(({ message }) => Effect.succeedSome(`${waiting}, its test could not be run: ${message}`))
  )
}
