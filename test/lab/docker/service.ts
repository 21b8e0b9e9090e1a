/**
 * A service as a Compose file has it, and the container that Docker Compose 2.17 or later makes of it.
 */
import { Duration } from "effect"
import * as Crypto from "node:crypto"
import { type Image, imageName } from "./images.ts"

export interface Dependency {
  readonly condition?: "service_started" | "service_healthy" | "service_completed_successfully"
  readonly restart?: boolean
}

export interface Healthcheck {
  readonly test: ReadonlyArray<string>
  readonly interval?: Duration.DurationInput
  readonly timeout?: Duration.DurationInput
  readonly startPeriod?: Duration.DurationInput
  readonly retries?: number
}

export interface Service {
  /** `bb` where nothing is said. */
  readonly image?: Image
  /** For the image `bb`: a shell that ends at once, with 0, on SIGTERM. */
  readonly command?: ReadonlyArray<string>
  readonly entrypoint?: ReadonlyArray<string>
  readonly dependsOn?: Readonly<Record<string, Dependency>>
  readonly healthcheck?: Healthcheck
  /** `/path:/in/container[:ro]`, or `name:/in/container` for a volume of the project. */
  readonly volumes?: ReadonlyArray<string>
  /** `none` where nothing is said: the lab's engine has no bridge. `service:NAME` makes NAME a dependency. */
  readonly networkMode?: "none" | "host" | `service:${string}`
  readonly restart?: "no" | "always" | "unless-stopped" | "on-failure" | `on-failure:${number}`
  readonly stopGracePeriod?: Duration.DurationInput
  readonly stopSignal?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
  readonly user?: string
  readonly scale?: number
  readonly containerName?: string
  readonly autoRemove?: boolean
  /** What else the body of `POST /containers/create` is to have. */
  readonly container?: Readonly<Record<string, unknown>>
  readonly hostConfig?: Readonly<Record<string, unknown>>
}

/** What a container's labels say of the project. */
export interface Home {
  readonly project: string
  readonly workingDir: string
  readonly configFiles: ReadonlyArray<string>
}

/** Ends at once, with 0, on SIGTERM. */
export const idle = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"] as const

const label = (name: string) => `com.docker.compose.${name}`

export const labels = {
  project: label("project"),
  service: label("service"),
  number: label("container-number"),
  oneOff: label("oneoff")
}

/** The service whose network it is in. */
export const sharedNetwork = (service: Service) => /^service:(.*)$/.exec(service.networkMode ?? "")?.[1]

/** What it waits for, also without saying so. */
export const dependencies = (service: Service): Readonly<Record<string, Dependency>> => {
  const network = sharedNetwork(service)
  return { ...(network !== undefined && { [network]: { restart: true } }), ...service.dependsOn }
}

const nanos = (duration: Duration.DurationInput | undefined) =>
  duration === undefined ? undefined : Duration.toMillis(duration) * 1e6

const healthcheck = (check: Healthcheck) => ({
  Test: check.test,
  Interval: nanos(check.interval),
  Timeout: nanos(check.timeout),
  StartPeriod: nanos(check.startPeriod),
  Retries: check.retries
})

const restartPolicy = (restart: Service["restart"]) => {
  const [name = "no", count = "0"] = (restart ?? "no").split(":")
  return { Name: name, MaximumRetryCount: Number(count) }
}

const bind = (home: Home, volume: string) => {
  const [source = "", target = "", mode = "rw"] = volume.split(":")
  return [source.startsWith("/") ? source : `${home.project}_${source}`, target, mode].join(":")
}

/** The named volumes of the project that the service has. */
export const namedVolumes = (service: Service): ReadonlyArray<string> =>
  (service.volumes ?? []).flatMap((volume) => volume.startsWith("/") ? [] : volume.split(":").slice(0, 1))

const hash = (value: unknown) => Crypto.createHash("sha256").update(JSON.stringify(value)).digest("hex")

export const volumeLabels = (home: Home, volume: string) => ({
  [labels.project]: home.project,
  [label("volume")]: volume,
  [label("version")]: "2.40.3",
  [label("config-hash")]: hash(volume)
})

/** The number of a container of the service, or the slug of one that `docker compose run` would make. */
export type Which = { readonly number: number } | { readonly slug: string }

export const containerName = (home: Home, name: string, service: Service, which: Which): string =>
  "number" in which
    ? service.containerName ?? `${home.project}-${name}-${which.number}`
    : `${home.project}-${name}-run-${which.slug.slice(0, 12)}`

/** The body of `POST /containers/create`. */
export const containerSpec = (
  home: Home,
  name: string,
  service: Service,
  which: Which,
  /** The digest of the image; the container whose network is shared; what the container is to take the place of. */
  given: { readonly image: string; readonly network?: string | undefined; readonly replaces?: string | undefined }
): object => {
  const isOneOff = "slug" in which
  const dependsOn = Object.entries(dependencies(service)).map(
    ([on, { condition = "service_started", restart = false }]) => `${on}:${condition}:${restart}`
  )
  const image = service.image ?? "bb"
  return {
    Image: imageName(image),
    Cmd: service.command ?? (image === "bb" ? idle : undefined),
    Entrypoint: service.entrypoint,
    Env: Object.entries(service.env ?? {}).map(([key, value]) => `${key}=${value}`),
    User: service.user,
    StopSignal: service.stopSignal,
    StopTimeout: service.stopGracePeriod === undefined ? undefined : Duration.toSeconds(service.stopGracePeriod),
    Healthcheck: service.healthcheck && healthcheck(service.healthcheck),
    ...service.container,
    Labels: {
      ...service.labels,
      [labels.project]: home.project,
      [labels.service]: name,
      [labels.oneOff]: isOneOff ? "True" : "False",
      ...(isOneOff ? { [label("slug")]: which.slug } : { [labels.number]: String(which.number) }),
      ...(given.replaces !== undefined && { [label("replace")]: given.replaces }),
      [label("config-hash")]: hash(service),
      [label("image")]: given.image,
      [label("project.config_files")]: home.configFiles.join(","),
      [label("project.working_dir")]: home.workingDir,
      [label("depends_on")]: dependsOn.join(","),
      [label("version")]: "2.40.3"
    },
    HostConfig: {
      NetworkMode: given.network === undefined ? service.networkMode ?? "none" : `container:${given.network}`,
      Binds: (service.volumes ?? []).map((volume) => bind(home, volume)),
      RestartPolicy: isOneOff ? undefined : restartPolicy(service.restart),
      AutoRemove: service.autoRemove,
      ...service.hostConfig
    }
  }
}
