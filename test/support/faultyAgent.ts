/**
 * What stands between a controller and its agent in a test, and does wrong what a network or a broken agent may.
 */
import { Effect } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

export type Operation = "preflight" | "request" | "prepare" | "quiesced" | "status" | "cancel" | "asked"

export type Fault =
  /** The connection is cut before the agent has heard of it; `lost`: after it has. */
  | "reset"
  | "lost"
  | "hang"
  /** The answer ends in its middle, by a cut or by silence. */
  | "truncated"
  | "stalled"
  | "huge"
  /** It answers at once, whatever it is asked to wait. */
  | "impatient"
  /** Bytes that are no HTTP. */
  | "noise"
  | { readonly status: number; readonly body?: string; readonly headers?: Readonly<Record<string, string>> }
  /** The agent's answer becomes another one. */
  | { readonly becomes: (status: Record<string, unknown>) => unknown }

const operationOf = ({ method = "", url = "" }: Http.IncomingMessage): Operation => {
  const [path = ""] = url.split("?")
  if (path === "/v1/health") return "preflight"
  if (path === "/v1/requests") return "asked"
  if (path.endsWith("/prepare")) return "prepare"
  if (path.endsWith("/quiesced")) return "quiesced"
  if (method === "DELETE") return "cancel"
  return method === "POST" ? "request" : "status"
}

interface Passed {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: Buffer
}

const pass = (
  request: Http.IncomingMessage,
  socketPath: string,
  then: (answer: Passed) => void,
  path = request.url
) => {
  const onward = Http.request(
    { socketPath, method: request.method, path, headers: request.headers, agent: false },
    (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on(
        "end",
        () => then({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) })
      )
    }
  )
  onward.on("error", () => request.socket.destroy())
  request.pipe(onward)
}

const json = { "content-type": "application/json" }

const act = (fault: Fault | undefined, request: Http.IncomingMessage, response: Http.ServerResponse, to: string) => {
  if (fault === "reset") request.socket.destroy()
  else if (fault === "lost") pass(request, to, () => request.socket.destroy())
  else if (fault === "hang") return
  else if (fault === "noise") request.socket.end("220 mail.example.org ESMTP\r\n")
  else if (fault === "huge") {
    response.writeHead(200, json)
    response.on("error", () => undefined)
    const chunk = `"${"x".repeat(65_536)}",`
    const more = (n: number): void => void (n > 0 && response.write(chunk, () => more(n - 1)))
    response.write("[")
    more(200)
  } else if (fault === "truncated" || fault === "stalled") {
    pass(request, to, ({ body, status }) => {
      response.writeHead(status, { ...json, "content-length": body.length })
      response.write(body.subarray(0, body.length / 2), () => {
        if (fault === "truncated") setTimeout(() => request.socket.destroy(), 20)
      })
    })
  } else if (fault === "impatient") {
    pass(request, to, ({ body, headers, status }) => {
      response.writeHead(status, headers)
      response.end(body)
    }, request.url?.split("?")[0])
  } else if (fault !== undefined && "status" in fault) {
    response.writeHead(fault.status, { ...json, ...fault.headers })
    response.end(fault.body ?? "{}")
  } else {
    pass(request, to, ({ body, headers, status }) => {
      const { "content-length": _, "transfer-encoding": __, ...rest } = headers
      response.writeHead(status, rest)
      response.end(
        fault === undefined || status !== 200 ? body : JSON.stringify(fault.becomes(JSON.parse(body.toString("utf8"))))
      )
    })
  }
}

/** Passes requests on to the agent at the socket, but for the faults: of the nth call, from 0, of an operation. */
export const faultyAgent = (
  socketPath: string,
  fault: (operation: Operation, n: number) => Fault | undefined
) =>
  Effect.acquireRelease(
    Effect.async<{ readonly url: string; readonly calls: Map<Operation, number>; readonly stop: () => void }>(
      (resume) => {
        const calls = new Map<Operation, number>()
        const server = Http.createServer((request, response) => {
          const operation = operationOf(request)
          const n = calls.get(operation) ?? 0
          calls.set(operation, n + 1)
          act(fault(operation, n), request, response, socketPath)
        })
        const stop = () => {
          server.close()
          server.closeAllConnections()
        }
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as AddressInfo
          resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, calls, stop }))
        })
      }
    ),
    ({ stop }) => Effect.sync(stop)
  )
