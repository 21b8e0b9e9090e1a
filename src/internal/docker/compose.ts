/**
 * The labels by which Docker Compose knows its containers (docker/compose, pkg/api/labels.go).
 */
import * as Path from "node:path"
import type { Summary } from "./schemas.ts"

type Labels = Readonly<Record<string, string>>

const prefix = "com.docker.compose."

/** The name of a container, without the slash that the engine puts before it. */
export const nameOf = (names: ReadonlyArray<string>): string => (names[0] ?? "").replace(/^\//, "")

/** What a container is in Compose. */
export interface Membership {
  readonly project: string
  readonly service: string
  readonly number: number
  /** Where it was defined; needed to say how it is made again. */
  readonly workingDir?: string
  readonly configFiles: ReadonlyArray<string>
}

/** Made by `compose run`, or by Compose for a hook: it comes and goes by itself and is no part of the stack. */
export const isTransient = (labels: Labels): boolean =>
  labels[`${prefix}oneoff`] === "True" || labels[`${prefix}hook`] !== undefined

/** The project of a container, one-offs included. */
export const projectOf = (labels: Labels): string | undefined => labels[`${prefix}project`]

/** Compose counts from 1. What is no number, or none that can be written down again, is the first one. */
const numberOf = (text = ""): number => /^[1-9]\d{0,8}$/.test(text) ? Number(text) : 1

/** What the container is in its project, if it is a lasting part of one. */
export const membership = (labels: Labels): Membership | undefined => {
  const [project, service] = [labels[`${prefix}project`], labels[`${prefix}service`]]
  if (project === undefined || service === undefined || isTransient(labels)) return undefined
  const files = labels[`${prefix}project.config_files`] ?? ""
  const workingDir = labels[`${prefix}project.working_dir`]
  // 1.29 names them as its command line did; `-` is standard input
  const place = (file: string) =>
    workingDir === undefined || !Path.isAbsolute(workingDir) || file === "-" ? file : Path.resolve(workingDir, file)
  return {
    project,
    service,
    number: numberOf(labels[`${prefix}container-number`]),
    ...workingDir === undefined ? {} : { workingDir },
    configFiles: files === "" ? [] : files.split(",").map(place)
  }
}

/** The filter that lists the containers of a project. */
export const projectFilter = (project: string): string => `${prefix}project=${project}`

/** The filter that lists the containers of a service. */
export const serviceFilter = ({ project, service }: Pick<Membership, "project" | "service">): ReadonlyArray<string> => [
  projectFilter(project),
  `${prefix}service=${service}`
]

/** What a service waits for. `service_completed_successfully` is `completed`. */
export interface ServiceDependency {
  readonly service: string
  readonly condition: "started" | "healthy" | "completed"
}

/**
 * `service:condition:restart`, joined by commas, in no order. Compose 2.0 to 2.2 wrote the service alone, up to 2.16
 * without the third field; where there is no condition, Compose waits for running or healthy.
 */
export const dependsOn = (labels: Labels): ReadonlyArray<ServiceDependency> =>
  (labels[`${prefix}depends_on`] ?? "").split(",").filter((entry) => entry !== "").map((entry) => {
    const [service = "", condition = ""] = entry.split(":")
    return {
      service,
      condition: condition === "service_started"
        ? "started"
        : condition === "service_completed_successfully"
        ? "completed"
        : "healthy"
    }
  })

const quote = (word: string) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`

/** The line that makes the container of a service again. */
export const upCommand = ({ configFiles, project, service, workingDir }: Membership): string =>
  [
    "docker",
    "compose",
    "-p",
    project,
    ...workingDir === undefined ? [] : ["--project-directory", workingDir],
    ...configFiles.flatMap((file) => ["-f", file]),
    "up",
    "-d",
    service
  ].map(quote).join(" ")

/** A short name of a container in its stack: the service, with the number where there are several. */
export const serviceName = ({ number, service }: Membership, several: boolean): string =>
  several ? `${service}-${number}` : service

/** The container in a list that is this part of the project. */
export const find = (
  containers: ReadonlyArray<Summary>,
  { number, project, service }: Pick<Membership, "project" | "service" | "number">
): Summary | undefined =>
  containers.find(({ Labels }) => {
    const found = membership(Labels)
    return found?.project === project && found.service === service && found.number === number
  })
