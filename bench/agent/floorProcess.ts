/**
 * The floor: a long poll by Node alone, over TLS, without a protocol. As a server that answers when it is time, or as a
 * client that asks.
 */
import { Effect } from "effect"
import * as Https from "node:https"
import type { AddressInfo } from "node:net"
import { now } from "./clock.ts"
import { main, say } from "./process.ts"

export type FloorTask =
  | { readonly be: "server"; readonly cert: string; readonly key: string; readonly spread: number }
  | { readonly be: "client"; readonly port: number; readonly runs: number }

const serve = (tls: Https.ServerOptions, spread: number) =>
  Effect.async<never>(() => {
    const server = Https.createServer(tls, (_, response) => {
      setTimeout(() => {
        const body = JSON.stringify({ at: now() })
        response.writeHead(200, { "content-type": "application/json", "content-length": body.length }).end(body)
      }, 10 + Math.random() * spread)
    })
    server.listen(0, "127.0.0.1", () => say({ port: (server.address() as AddressInfo).port }))
  })

const ask = (port: number, agent: Https.Agent) =>
  Effect.async<number, Error>((resume) => {
    const fail = (error: Error) => resume(Effect.fail(error))
    Https.get({ host: "127.0.0.1", port, agent, rejectUnauthorized: false }, (response) => {
      let text = ""
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString("utf8")
      })
      response.on("end", () => {
        const { at } = JSON.parse(text) as { readonly at: number }
        resume(Effect.succeed(now() - at))
      })
      response.on("error", fail)
    }).on("error", fail)
  })

main((task: FloorTask) =>
  task.be === "server"
    ? serve(task, task.spread)
    : Effect.suspend(() => {
      const agent = new Https.Agent({ keepAlive: true, maxSockets: 1 })
      return Effect.repeatN(
        Effect.tap(ask(task.port, agent), (took) => Effect.sync(() => say({ took }))),
        task.runs - 1
      )
    })
)
