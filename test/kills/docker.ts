/**
 * A Docker engine that is pretended: containers that are only a state, and the routes of the Engine API that a run uses.
 * It stops as the real one does: slowly, whoever has gone meanwhile, and a start during a stop is answered 304.
 */
import { idOf } from "../internal/docker/fixtures.ts"

export interface Answer {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface Box {
  readonly name: string
  readonly id: string
  readonly labels: Readonly<Record<string, string>>
  /** Whether it runs when nobody touches it. */
  readonly wanted: boolean
  running: boolean
  stopping: boolean
  startedAt: number
  finishedAt: number
}

/** How long a container takes to end and to start. */
const stopMillis = 40
const startMillis = 15

const compose = (project: string, service: string, dependsOn = ""): Readonly<Record<string, string>> => ({
  "com.docker.compose.project": project,
  "com.docker.compose.service": service,
  "com.docker.compose.container-number": "1",
  "com.docker.compose.oneoff": "False",
  "com.docker.compose.project.working_dir": `/srv/${project}`,
  "com.docker.compose.project.config_files": `/srv/${project}/compose.yaml`,
  ...dependsOn === "" ? {} : { "com.docker.compose.depends_on": dependsOn }
})

const pause = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

const time = (millis: number) => millis === 0 ? "0001-01-01T00:00:00Z" : new Date(millis).toISOString()

export class Docker {
  /** What really happened: `down db`, `up db`. */
  readonly journal: Array<string> = []
  /** Every order, also one that changed nothing. */
  readonly orders: Array<string> = []
  readonly boxes: ReadonlyArray<Box>

  constructor() {
    const box = (name: string, labels: Box["labels"], wanted: boolean): Box => ({
      name,
      id: idOf(name),
      labels,
      wanted,
      running: wanted,
      stopping: false,
      startedAt: Date.now() - 60_000,
      finishedAt: wanted ? 0 : Date.now() - 50_000
    })
    this.boxes = [
      box("shop-db-1", compose("shop", "db"), true),
      box("shop-web-1", compose("shop", "web", "db:service_started:false"), true),
      // somebody has stopped it, and wants it so
      box("shop-old-1", compose("shop", "old"), false),
      box("mail-smtp-1", compose("mail", "smtp"), true)
    ]
  }

  find(id: string): Box | undefined {
    return this.boxes.find((box) => box.id === id || box.name === id)
  }

  get isIdle(): boolean {
    return this.boxes.every(({ stopping }) => !stopping)
  }

  /** Whether everything of the stack is down. */
  get isHeld(): boolean {
    return this.boxes.every(({ name, running }) => !name.startsWith("shop-") || !running)
  }

  async stop(box: Box): Promise<Answer> {
    this.orders.push(`stop ${box.name}`)
    if (!box.running) return { status: 304 }
    box.stopping = true
    await pause(stopMillis)
    if (box.stopping) {
      Object.assign(box, { running: false, stopping: false, finishedAt: Date.now() })
      this.journal.push(`down ${box.name}`)
    }
    return { status: 204 }
  }

  async start(box: Box): Promise<Answer> {
    this.orders.push(`start ${box.name}`)
    if (box.running) return { status: 304 }
    await pause(startMillis)
    if (box.running) return { status: 304 }
    Object.assign(box, { running: true, startedAt: Date.now() })
    this.journal.push(`up ${box.name}`)
    return { status: 204 }
  }

  inspect(box: Box): Answer {
    const { finishedAt, id, labels, name, running, startedAt } = box
    return {
      status: 200,
      body: {
        Id: id,
        Name: `/${name}`,
        RestartCount: 0,
        State: {
          Status: running ? "running" : "exited",
          Running: running,
          ExitCode: 0,
          StartedAt: time(startedAt),
          FinishedAt: time(finishedAt)
        },
        Config: { Image: "none", Labels: labels, StopTimeout: 1 },
        HostConfig: { NetworkMode: "none", RestartPolicy: { Name: "no" } },
        Mounts: []
      }
    }
  }

  list(all: boolean): Answer {
    const body = this.boxes.filter(({ running }) => all || running).map(({ id, labels, name, running }) => ({
      Id: id,
      Names: [`/${name}`],
      Image: "none",
      Labels: labels,
      State: running ? "running" : "exited",
      HostConfig: { NetworkMode: "none" },
      Mounts: []
    }))
    return { status: 200, body }
  }

  /** What a request asks for: its name among boundaries, and what it does. */
  route(method: string, url: string): { readonly key: string; readonly act: () => Promise<Answer> } {
    const { pathname, searchParams } = new URL(url, "http://docker")
    const path = pathname.replace(/^\/v1\.\d+/, "")
    const [, id, rest] = /^\/containers\/([^/]+)\/(json|stop|start)$/.exec(path) ?? []
    const box = id === undefined ? undefined : this.find(id)
    const key = `${method} ${box === undefined ? path : `/containers/${box.name}/${rest}`}`
    const answers: Readonly<Record<string, () => Answer | Promise<Answer>>> = {
      "GET /_ping": () => ({ status: 200, headers: { "api-version": "1.47" } }),
      "GET /version": () => ({ status: 200, body: { Version: "28.5.2", ApiVersion: "1.51" } }),
      "GET /containers/json": () => this.list(searchParams.get("all") === "true"),
      ...box === undefined ? {} : {
        [`GET /containers/${box.name}/json`]: () => this.inspect(box),
        [`POST /containers/${box.name}/stop`]: () => this.stop(box),
        [`POST /containers/${box.name}/start`]: () => this.start(box)
      }
    }
    const act = answers[key] ?? (() => ({ status: 404, body: { message: `no ${key}` } }))
    return { key, act: async () => act() }
  }
}
