/**
 * A proxy in front of an agent that does to its connections what a network may do. TLS passes through as it is.
 */
import { Effect, type Scope } from "effect"
import { randomBytes } from "node:crypto"
import * as Net from "node:net"
import { LabError } from "./postgresInstall.ts"

/** `up` is to the agent. */
export type Way = "up" | "down"

/** What becomes of the bytes, also of the connections that are open. */
export type Fault =
  | { readonly kind: "pass" }
  /** Every piece comes later, both ways. */
  | { readonly kind: "delay"; readonly millis: number }
  /** Nothing arrives, and nobody is told. A connection that has lost bytes never says anything again. */
  | { readonly kind: "drop"; readonly way?: Way }
  /** RST to both sides, at once for what is open. */
  | { readonly kind: "reset" }
  /** Both sides are closed after so many bytes this way. */
  | { readonly kind: "cut"; readonly way: Way; readonly after: number }
  /** The reader this way is told that no more will come; the other way stays open. */
  | { readonly kind: "half-close"; readonly way: Way }
  /** Nobody listens. */
  | { readonly kind: "refuse" }
  /** Random bytes in place of every answer. */
  | { readonly kind: "garbage" }

/** Where the proxy listens, or the agent does. */
export type Place = { readonly port: number } | { readonly path: string }

export interface Entry {
  /** Of the connection; 0 is the proxy itself. */
  readonly connection: number
  readonly what: "opened" | "closed" | Fault["kind"]
}

export interface ChaosProxy {
  readonly place: Place
  /** From now on. */
  readonly set: (fault: Fault) => Effect.Effect<void, LabError>
  /** Ends in a RST what is open now; what comes later passes. */
  readonly resetOpen: () => void
  /**
   * What becomes of the connection on which the next request with this text comes, and what is done when it strikes.
   * Not for TLS.
   */
  readonly once: (text: string, fault: Fault, act?: () => void) => void
  /** What was done, in order. */
  readonly journal: () => ReadonlyArray<Entry>
  readonly count: (what: Entry["what"]) => number
}

interface Flow {
  readonly from: Net.Socket
  readonly to: Net.Socket
  readonly queue: Array<{ readonly due: number; readonly chunk: Buffer | "end" }>
  timer: NodeJS.Timeout | undefined
  bytes: number
}

interface Planned {
  readonly text: string
  readonly fault: Fault
  readonly act: (() => void) | undefined
}

interface Connection {
  readonly number: number
  readonly flows: Readonly<Record<Way, Flow>>
  own: Planned | undefined
  isDead: boolean
}

const flow = (from: Net.Socket, to: Net.Socket): Flow => ({ from, to, queue: [], timer: undefined, bytes: 0 })

/** Sends what is due, in order. */
const pump = (flow: Flow): void => {
  clearTimeout(flow.timer)
  flow.timer = undefined
  for (let [first] = flow.queue; first !== undefined; [first] = flow.queue) {
    const left = first.due - performance.now()
    if (left > 0) {
      flow.timer = setTimeout(() => pump(flow), left)
      return
    }
    flow.queue.shift()
    if (first.chunk === "end") flow.to.end()
    else flow.to.write(first.chunk)
  }
}

const listen = (server: Net.Server, place: Place) =>
  Effect.async<Place, LabError>((resume) => {
    const failed = (error: Error) => resume(new LabError({ message: `the proxy: ${error.message}` }))
    server.once("error", failed)
    server.listen("port" in place ? { host: "127.0.0.1", port: place.port } : place, () => {
      server.off("error", failed)
      const address = server.address()
      resume(Effect.succeed(address === null || typeof address === "string" ? place : { port: address.port }))
    })
  })

/** Listens in front of the agent until the scope closes. Port 0 is a free one. */
export const make = (
  options: { readonly listen: Place; readonly agent: Place }
): Effect.Effect<ChaosProxy, LabError, Scope.Scope> =>
  Effect.gen(function*() {
    const entries: Array<Entry> = []
    const open = new Set<Connection>()
    const waiting: Array<Planned> = []
    let present: Fault = { kind: "pass" }
    let numbers = 0

    const note = (connection: number, what: Entry["what"]) => void entries.push({ connection, what })

    const end = (connection: Connection, how: "reset" | "closed") => {
      if (!open.delete(connection)) return
      note(connection.number, how)
      for (const { from, timer } of Object.values(connection.flows)) {
        clearTimeout(timer)
        // a UNIX socket knows no RST
        if (how === "reset" && from.remoteAddress !== undefined) from.resetAndDestroy()
        else from.destroy()
      }
    }

    const swallow = (connection: Connection) => {
      if (!connection.isDead) note(connection.number, "drop")
      connection.isDead = true
    }

    const pass = (flow: Flow, chunk: Buffer | "end", delay = 0) => {
      const last = flow.queue.at(-1)?.due ?? 0
      flow.queue.push({ due: Math.max(last, delay === 0 ? 0 : performance.now() + delay), chunk })
      pump(flow)
    }

    const take = (connection: Connection, way: Way, chunk: Buffer | "end") => {
      const flow = connection.flows[way]
      const match = way === "up" && chunk !== "end" ? waiting.findIndex(({ text }) => chunk.includes(text)) : -1
      if (match !== -1) connection.own = waiting.splice(match, 1)[0]
      const fault = connection.own?.fault ?? present
      if (connection.isDead) return
      switch (fault.kind) {
        case "drop":
          return fault.way === undefined || fault.way === way ? swallow(connection) : pass(flow, chunk)
        case "reset":
        case "refuse":
          connection.own?.act?.()
          return end(connection, "reset")
        case "delay":
          note(connection.number, "delay")
          return pass(flow, chunk, fault.millis)
        case "garbage":
          if (way === "up" || chunk === "end") return pass(flow, chunk)
          note(connection.number, "garbage")
          return pass(flow, randomBytes(chunk.length))
        case "half-close":
          pass(flow, chunk)
          if (way !== fault.way || chunk === "end") return
          note(connection.number, "half-close")
          return pass(flow, "end")
        case "cut": {
          if (way !== fault.way || chunk === "end") return pass(flow, chunk)
          const left = fault.after - flow.bytes
          flow.bytes += chunk.length
          if (chunk.length < left) return pass(flow, chunk)
          note(connection.number, "cut")
          connection.own?.act?.()
          // what was let through must arrive before the end does
          flow.to.end(chunk.subarray(0, Math.max(0, left)), () => end(connection, "closed"))
          connection.isDead = true
          return
        }
        case "pass":
          return pass(flow, chunk)
      }
    }

    const accept = (client: Net.Socket) => {
      const agent = Net.connect({
        ..."port" in options.agent ? { host: "127.0.0.1", port: options.agent.port } : options.agent,
        allowHalfOpen: true
      })
      const connection: Connection = {
        number: ++numbers,
        flows: { up: flow(client, agent), down: flow(agent, client) },
        own: undefined,
        isDead: false
      }
      open.add(connection)
      note(connection.number, "opened")
      for (const [way, { from }] of [["up", connection.flows.up], ["down", connection.flows.down]] as const) {
        from.setNoDelay(true)
        from.on("data", (chunk: Buffer) => take(connection, way, chunk))
        from.on("end", () => take(connection, way, "end"))
        // a side that ends in an error takes the other one with it, as a router does that forwards a RST
        from.on("error", () => end(connection, "reset"))
        from.on("close", () => {
          const { down, up } = connection.flows
          if (up.from.destroyed && down.from.destroyed) end(connection, "closed")
        })
      }
    }

    const listening = (place: Place) =>
      Effect.gen(function*() {
        const server = Net.createServer({ allowHalfOpen: true }, accept)
        const found = yield* listen(server, place)
        return { server, place: found }
      })

    const first = yield* listening(options.listen)
    let server: Net.Server | undefined = first.server
    const close = () => {
      server?.close()
      server = undefined
      for (const connection of open) end(connection, "reset")
    }
    yield* Effect.addFinalizer(() => Effect.sync(close))

    const proxy: ChaosProxy = {
      place: first.place,
      set: Effect.fnUntraced(function*(fault) {
        present = fault
        for (const { flows } of open) for (const one of Object.values(flows)) one.bytes = 0
        if (fault.kind !== "pass") note(0, fault.kind)
        if (fault.kind === "refuse") close()
        else if (server === undefined) server = (yield* listening(first.place)).server
        if (fault.kind === "reset") { for (const connection of open) end(connection, "reset") }
      }),
      resetOpen: () => {
        for (const connection of open) end(connection, "reset")
      },
      once: (text, fault, act) => void waiting.push({ text, fault, act }),
      journal: () => entries,
      count: (what) => entries.filter((entry) => entry.what === what).length
    }
    return proxy
  })
