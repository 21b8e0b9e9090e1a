/**
 * A socket in front of an engine's: it writes down what is asked, and misbehaves as a test tells it.
 */
import { Effect, type Scope } from "effect"
import * as Http from "node:http"

/**
 * `lost`: the engine does what it is asked, and its answer does not come back. `mute`: nothing is passed on, and nothing
 * ever answers.
 */
export const behaviours = ["500", "garbage", "truncated", "close", "lost", "slow", "mute"] as const
export type Behaviour = typeof behaviours[number]

export interface Rule {
  /** As `POST /containers/{id}/stop`. */
  readonly route: string
  readonly behaviour: Behaviour
  /** How many requests of this route it spoils. */
  readonly times: number
}

export interface Socket {
  readonly host: string
  /** Every request, as `GET /containers/{id}/json`. */
  readonly routes: () => ReadonlyArray<string>
  readonly spoil: (rule: Rule | undefined) => void
}

const routeOf = (method: string, url: string) =>
  `${method} ${
    (url.split("?")[0] ?? "")
      .replace(/^\/v1\.\d+/, "")
      .replace(/^\/containers\/[0-9a-f]{12,64}\//, "/containers/{id}/")
      .replace(/^\/exec\/[0-9a-f]{12,64}\//, "/exec/{id}/")
  }`

/** Listens at the path until the scope closes. */
export const make = (engineSocket: string, path: string): Effect.Effect<Socket, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<{ readonly socket: Socket; readonly server: Http.Server }>((resume) => {
      const seen: Array<string> = []
      let rule: { readonly is: Rule; left: number } | undefined

      const forward = (request: Http.IncomingMessage, answered: (answer: Http.IncomingMessage) => void) => {
        const { headers, method, url } = request
        const passed = Http.request({ socketPath: engineSocket, agent: false, method, path: url, headers }, answered)
        passed.on("error", () => request.destroy())
        request.pipe(passed)
      }
      const pass = (request: Http.IncomingMessage, response: Http.ServerResponse) =>
        forward(request, (answer) => {
          response.writeHead(answer.statusCode ?? 500, answer.headers)
          answer.pipe(response)
        })
      const spoil: Record<Behaviour, typeof pass> = {
        "500": (_, response) => {
          response.writeHead(500, { "content-type": "application/json" })
          response.end("{\"message\":\"something is wrong\"}")
        },
        garbage: (request) => request.socket.end("no HTTP at all\r\n\r\n"),
        truncated: (_, response) => {
          response.writeHead(200, { "content-type": "application/json" })
          response.end("{\"Id\":\"0123")
        },
        close: (request) => request.socket.destroy(),
        lost: (request) =>
          forward(request, (answer) => {
            answer.resume()
            answer.on("end", () => request.socket.destroy())
          }),
        slow: (request, response) => setTimeout(() => pass(request, response), 1_500),
        mute: () => undefined
      }

      const server = Http.createServer((request, response) => {
        request.on("error", () => undefined)
        response.on("error", () => undefined)
        const route = routeOf(request.method ?? "", request.url ?? "")
        seen.push(route)
        const act = rule !== undefined && rule.is.route === route && rule.left-- > 0 ? spoil[rule.is.behaviour] : pass
        act(request, response)
      })
      server.on("clientError", () => undefined)
      const socket: Socket = {
        host: `unix://${path}`,
        routes: () => seen,
        spoil: (next) => {
          rule = next === undefined ? undefined : { is: next, left: next.times }
        }
      }
      server.listen(path, () => resume(Effect.succeed({ socket, server })))
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  ).pipe(Effect.map(({ socket }) => socket))
