/**
 * Containers as an engine would tell of them, for tests without one.
 */
import { Effect, Schema } from "effect"
import { UnitId } from "../../../src/domain/Stack.ts"
import * as Compose from "../../../src/internal/docker/compose.ts"
import type { Engine } from "../../../src/internal/docker/engine.ts"
import type { Member } from "../../../src/internal/docker/members.ts"
import * as Schemas from "../../../src/internal/docker/schemas.ts"
import * as Settings from "../../../src/internal/docker/settings.ts"

type Labels = Readonly<Record<string, string>>

/** 64 hexadecimal digits, always the same for the same name. */
export const idOf = (name: string): string => Buffer.from(name.padEnd(32, ".")).toString("hex").slice(0, 64)

/** The labels that Compose gives. */
export const composeLabels = (
  service: string,
  more: { readonly project?: string; readonly number?: number; readonly dependsOn?: string } = {}
): Labels => ({
  "com.docker.compose.project": more.project ?? "shop",
  "com.docker.compose.service": service,
  "com.docker.compose.container-number": String(more.number ?? 1),
  "com.docker.compose.oneoff": "False",
  "com.docker.compose.project.config_files": "/srv/shop/compose.yaml",
  "com.docker.compose.project.working_dir": "/srv/shop",
  ...more.dependsOn === undefined ? {} : { "com.docker.compose.depends_on": more.dependsOn }
})

type Part = Readonly<Record<string, unknown>>

/** What differs from a running container that says nothing. */
export interface Given {
  readonly labels?: Labels
  readonly state?: Part
  readonly config?: Part
  readonly host?: Part
  readonly top?: Part
}

/** As an engine sends it: without what is undefined. */
const decode = <A, I>(schema: Schema.Schema<A, I>, value: object) =>
  Schema.decodeUnknownSync(Schema.parseJson(schema))(JSON.stringify(value))

/** An answer of `GET /containers/{id}/json`, read as the client reads it. */
export const container = (name: string, given: Given = {}): Schemas.Container =>
  decode(Schemas.Container, {
    Id: idOf(name),
    Name: `/${name}`,
    State: {
      Status: "running",
      StartedAt: "2026-01-02T03:04:05.6Z",
      FinishedAt: "0001-01-01T00:00:00Z",
      ...given.state
    },
    Config: { Image: "bb", Labels: given.labels ?? {}, ...given.config },
    HostConfig: { NetworkMode: "none", ...given.host },
    ...given.top
  })

/** One container of `GET /containers/json`, read as the client reads it. */
export const summary = (name: string, labels: Labels = {}, more: Part = {}): Schemas.Summary =>
  decode(Schemas.Summary, {
    Id: idOf(name),
    Names: [`/${name}`],
    Image: "bb",
    Labels: labels,
    State: "running",
    ...more
  })

/** A container of a stack; its unit has the name of the container. */
export const member = (name: string, given: Given = {}): Member => {
  const made = container(name, given)
  return {
    unit: UnitId.make(name),
    name,
    container: made,
    settings: Effect.runSync(Settings.read(name, made.Config.Labels)),
    compose: Compose.membership(made.Config.Labels)
  }
}

/** A container of the Compose project `shop`, with the name of its service. */
export const service = (name: string, dependsOn = "", given: Given = {}): Member =>
  member(name, { ...given, labels: { ...composeLabels(name, { dependsOn }), ...given.labels } })

/** An engine that must not be asked, but for what is given. */
export const engineOf = (given: Partial<Engine>): Engine => {
  const never = () => Effect.dieMessage("the engine is not to be asked for this")
  return {
    host: "unix:///test.sock",
    describe: Effect.dieMessage("the engine is not to be asked for this"),
    list: never,
    inspect: never,
    stop: never,
    start: never,
    pause: never,
    unpause: never,
    exec: never,
    isAtWork: never,
    ...given
  }
}
