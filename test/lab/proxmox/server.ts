/**
 * A small part of Proxmox VE's API, as strict as the real one about what it accepts, with faults on order.
 */
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { X509Certificate } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { lockHeld, type Sample, Task } from "./tasks.ts"

export const user = "quiesce@pve!web"
export const secret = "0f0f0f0f-canary-4242-8888-abcdefabcdef"
export const token = `${user}=${secret}`

/** What happens to a request instead. `before` and `after` say whether its effect takes place. */
export type Fault =
  | "cut-before"
  | "cut-after"
  | "hang-after"
  | "garbage"
  | "truncated"
  | "huge"
  | { readonly status: number; readonly message: string }

export interface ServerOptions {
  readonly tls?: boolean | undefined
  readonly node?: string | undefined
  /** The guests that are on this node. */
  readonly guests?: ReadonlyArray<number> | undefined
  /** Privileges by path. */
  readonly acl?: Readonly<Record<string, ReadonlyArray<string>>> | undefined
  /** What the next vzdump replays. */
  readonly replay: Sample
  /** How many lines a task has written when its order is answered. */
  readonly begins?: number | undefined
  /** Milliseconds that a wrong token is made to wait. The real one waits for three seconds. */
  readonly denial?: number | undefined
}

export const leastPrivileges: Readonly<Record<string, ReadonlyArray<string>>> = {
  "/vms/100": ["VM.Backup"],
  "/storage/local": ["Datastore.AllocateSpace", "Datastore.Audit"]
}

interface Request {
  readonly route: string
  readonly parameters: Readonly<Record<string, string>>
}

type Answer = { readonly data?: unknown; readonly total?: number }

class Refusal extends Error {
  readonly status: number
  readonly errors: Readonly<Record<string, string>> | undefined
  constructor(status: number, message: string, errors?: Readonly<Record<string, string>>) {
    super(message)
    this.status = status
    this.errors = errors
  }
}

const known: Readonly<Record<string, RegExp>> = {
  vmid: /^[1-9]\d{2,8}$/,
  mode: /^(snapshot|suspend|stop)$/,
  storage: /^[a-z][a-z0-9._-]*$/i,
  compress: /^(0|1|gzip|lzo|zstd)$/,
  remove: /^[01]$/,
  lockwait: /^\d+$/,
  "notes-template": /^[^\n]{1,1024}$/,
  protected: /^[01]$/,
  fleecing: /^enabled=[01](,storage=[a-z][\w.-]*)?$/i
}
const rootOnly = new Set(["script", "tmpdir", "dumpdir", "job-id"])

const certificate = () => {
  const directory = mkdtempSync(join(tmpdir(), "quiesce-pve-"))
  try {
    const [key, cert] = [join(directory, "k"), join(directory, "c")]
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=pve1"]
    execFileSync("openssl", ["req", "-x509", ...curve, "-keyout", key, "-out", cert], { stdio: "ignore" })
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** A node with its tasks. */
export class Pve {
  readonly requests: Array<Request> = []
  readonly tasks: Array<Task> = []
  /** Faults by `METHOD route`, each for one request. */
  readonly faults = new Map<string, Array<Fault>>()
  /** Another vzdump of this host, which the token may not see. */
  lock = false
  connections = 0

  readonly options: ServerOptions

  constructor(options: ServerOptions) {
    this.options = options
  }

  get node() {
    return this.options.node ?? "pve1"
  }

  /** The newest task. */
  get task() {
    return this.tasks.at(-1)
  }

  privileges(path: string): ReadonlyArray<string> {
    return (this.options.acl ?? leastPrivileges)[path] ?? []
  }

  private need(path: string, ...privileges: ReadonlyArray<string>) {
    if (!privileges.some((one) => this.privileges(path).includes(one))) {
      throw new Refusal(403, `Permission check failed (${path}, ${privileges.join("|")})`)
    }
  }

  private vzdump(parameters: Readonly<Record<string, string>>): Answer {
    const errors: Record<string, string> = {}
    for (const [name, value] of Object.entries(parameters)) {
      if (rootOnly.has(name)) throw new Refusal(403, `Only root may set '${name}'`)
      const shape = known[name]
      if (shape === undefined) {
        errors[name] = "property is not defined in schema and the schema does not allow additional properties"
      } else if (!shape.test(value)) errors[name] = "value does not match the regex pattern"
    }
    if (Object.keys(errors).length > 0) throw new Refusal(400, "Parameter verification failed.\n", errors)
    this.need(`/storage/${parameters["storage"] ?? "local"}`, "Datastore.AllocateSpace")
    const vmid = Number(parameters["vmid"])
    if (!(this.options.guests ?? [100]).includes(vmid)) return { data: "OK" }
    const busy = this.lock || this.tasks.some(({ runs }) => runs)
    const task = new Task(vmid, this.node, user, busy ? lockHeld : this.options.replay, 4242 + this.tasks.length)
    task.writeTo(this.options.begins ?? 0)
    if (busy) task.end()
    this.tasks.push(task)
    return { data: task.upid }
  }

  /** The answer of a route, after its effect. */
  answer(method: string, path: string, parameters: Readonly<Record<string, string>>): Answer {
    const [, rest = ""] = /^\/api2\/json(\/.*)$/.exec(path) ?? []
    if (method === "GET" && rest === "/nodes") {
      return { data: [{ node: this.node, status: "online" }, { node: "pve2" }] }
    }
    if (method === "GET" && rest === "/access/permissions") {
      const where = parameters["path"] ?? "/"
      return { data: { [where]: Object.fromEntries(this.privileges(where).map((name) => [name, 1])) } }
    }
    const base = `/nodes/${this.node}`
    if (method === "POST" && rest === `${base}/vzdump`) return this.vzdump(parameters)
    const storage = new RegExp(`^${base}/storage/([^/]+)/status$`).exec(rest)?.[1]
    if (method === "GET" && storage !== undefined) {
      this.need(`/storage/${storage}`, "Datastore.Audit", "Datastore.AllocateSpace")
      return { data: { type: "dir", content: "backup,iso", enabled: 1, active: 1 } }
    }
    if (method === "GET" && rest === `${base}/tasks`) {
      const tasks = this.tasks.filter((task) =>
        (parameters["source"] !== "active" || task.runs) &&
        (parameters["vmid"] === undefined || parameters["vmid"] === String(task.vmid))
      )
      const listed = tasks.map(({ runs, startTime, upid }) => ({ upid, ...runs ? {} : { endtime: startTime + 1 } }))
      return { data: listed.reverse() }
    }
    const [, encoded = "", what = ""] = new RegExp(`^${base}/tasks/([^/]+)(/status|/log)?$`).exec(rest) ?? []
    const task = this.tasks.find(({ upid }) => upid === decodeURIComponent(encoded))
    if (encoded !== "" && task === undefined) throw new Refusal(400, "no such task")
    if (task !== undefined && method === "DELETE" && what === "") {
      task.stop()
      return { data: null }
    }
    if (task !== undefined && method === "GET" && what === "/status") {
      const status = task.runs ? { status: "running" } : { status: "stopped", exitstatus: task.exitstatus }
      return { data: { ...status, upid: task.upid, node: this.node, type: "vzdump", id: String(task.vmid) } }
    }
    if (task !== undefined && method === "GET" && what === "/log") {
      return task.page(Number(parameters["start"] ?? 0), Number(parameters["limit"] ?? 50))
    }
    throw new Refusal(501, `Method '${method} ${rest}' not implemented`)
  }
}

const routeOf = (method: string, path: string, node: string) =>
  `${method} ${
    path.replace("/api2/json", "").replace(`/nodes/${node}`, "/nodes/{node}").replace(/UPID[^/]*/, "{upid}").replace(
      /storage\/[^/]+/,
      "storage/{storage}"
    )
  }`

const handler = (pve: Pve) => (request: Http.IncomingMessage, response: Http.ServerResponse) => {
  let body = ""
  request.on("error", () => undefined)
  request.setEncoding("utf8").on("data", (text: string) => body += text)
  request.once("end", () => {
    const url = new URL(request.url ?? "/", "http://pve")
    const parameters = { ...Object.fromEntries(url.searchParams), ...Object.fromEntries(new URLSearchParams(body)) }
    const method = request.method ?? ""
    const route = routeOf(method, url.pathname, pve.node)
    const send = (status: number, text: string) => {
      response.writeHead(status, { "content-type": "application/json;charset=UTF-8" })
      response.end(text)
    }
    if (request.headers.authorization !== `PVEAPIToken=${token}`) {
      setTimeout(() => send(401, JSON.stringify({ data: null })), pve.options.denial ?? 3_000)
      return
    }
    pve.requests.push({ route, parameters })
    const fault = pve.faults.get(route)?.shift()
    if (fault === "cut-before") return request.socket.destroy()
    if (typeof fault === "object") {
      // what echoes a secret must not bring it into an error
      return send(fault.status, JSON.stringify({ data: null, message: `${fault.message} ${token}` }))
    }
    try {
      const text = JSON.stringify(pve.answer(method, url.pathname, parameters))
      if (fault === "cut-after") return request.socket.destroy()
      if (fault === "hang-after") return
      if (fault === "garbage") return send(200, `<html>${token}</html>`)
      if (fault === "truncated") return send(200, text.slice(0, -2))
      if (fault === "huge") return send(200, JSON.stringify({ data: "x".repeat(8 * 1024 * 1024) }))
      send(200, text)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      send(error.status, JSON.stringify({ data: null, message: error.message, errors: error.errors }))
    }
  })
}

/** Serves until the scope closes. */
export const serve = Effect.fnUntraced(function*(options: ServerOptions) {
  const pve = new Pve(options)
  const keys = options.tls === true ? certificate() : undefined
  const server = keys === undefined ? Http.createServer(handler(pve)) : Https.createServer(keys, handler(pve))
  server.on("connection", () => pve.connections++)
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  const { port } = server.address() as AddressInfo
  return {
    pve,
    url: `${keys === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    fingerprint: keys === undefined ? undefined : new X509Certificate(keys.cert).fingerprint256
  }
})
