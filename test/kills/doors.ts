/**
 * The doors of a pretended world as UNIX sockets: the engine's, the agent's, and that of the commands of a stack.
 */
import { Effect, type Scope } from "effect"
import * as Http from "node:http"
import * as Net from "node:net"
import type { Answer, Docker } from "./docker.ts"
import type { Gate } from "./gate.ts"

const listening = <S extends Net.Server>(
  server: S,
  path: string,
  close: (server: S) => void
): Effect.Effect<S, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<S>((resume) => {
      server.listen(path, () => resume(Effect.succeed(server)))
    }),
    () =>
      Effect.sync(() => {
        close(server)
        server.close()
      })
  )

const http = (path: string, serve: (request: Http.IncomingMessage, response: Http.ServerResponse) => Promise<void>) =>
  listening(
    Http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      request.on("error", () => undefined)
      response.on("error", () => undefined)
      void serve(request, response)
    }),
    path,
    (server) => server.closeAllConnections()
  )

/** Resolves when it has left, or can leave no more. */
const send = (response: Http.ServerResponse, { body, headers, status }: Answer) =>
  new Promise<void>((resolve) => {
    // who has asked may be dead since long
    if (response.closed || response.destroyed) return resolve()
    response.once("finish", resolve)
    response.once("close", resolve)
    response.writeHead(status, { ...body === undefined ? {} : { "content-type": "application/json" }, ...headers })
    response.end(body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body))
  })

/** The engine behind the gate. */
export const docker = (gate: Gate, engine: Docker, path: string) =>
  http(path, async (request, response) => {
    const method = request.method ?? ""
    const { act, key } = engine.route(method, request.url ?? "")
    request.resume()
    await gate.pass({ key, isOrder: method === "POST", begin: act, reply: (answer) => send(response, answer) })
    response.destroy()
  })

const bodyOf = (message: Http.IncomingMessage) =>
  new Promise<string>((resolve) => {
    const chunks: Array<Buffer> = []
    message.on("data", (chunk: Buffer) => chunks.push(chunk))
    message.on("close", () => resolve(Buffer.concat(chunks).toString("utf8")))
  })

/** Asks the agent itself. What it was asked it does, whoever has gone meanwhile. */
const forward = (socketPath: string, { headers, method, url }: Http.IncomingMessage, body: string) =>
  new Promise<Answer>((resolve) => {
    const passed = Http.request({ socketPath, agent: false, method, path: url, headers }, (answer) => {
      void bodyOf(answer).then((text) =>
        resolve({
          status: answer.statusCode ?? 500,
          headers: { "content-type": answer.headers["content-type"] ?? "application/json" },
          ...text === "" ? {} : { body: text }
        })
      )
    })
    passed.on("error", () => resolve({ status: 503 }))
    passed.end(body)
  })

/** The agent behind the gate. */
export const agent = (gate: Gate, socket: string, path: string) =>
  http(path, async (request, response) => {
    const method = request.method ?? ""
    const route = (request.url ?? "").split("?")[0]?.replace(/\/backups\/[0-9a-f-]{36}/, "/backups/{run}")
    const body = await bodyOf(request)
    await gate.pass({
      key: `agent ${method} ${route}`,
      isOrder: method !== "GET",
      begin: () => forward(socket, request, body),
      reply: (answer) => send(response, answer)
    })
    response.destroy()
  })

/** What a command of a stack asks for, by its name and its process; answers with its exit code. */
export type Command = (name: string, pid: number) => Promise<number>

/** The commands of a stack behind the gate: `stop`, `start`, `status`, `prepare`. */
export const commands = (gate: Gate, run: Command, path: string) =>
  listening(
    Net.createServer((socket) => {
      socket.on("error", () => undefined)
      socket.once("data", (line) => {
        const [name = "", pid = "0"] = String(line).trim().split(" ")
        void gate.pass({
          key: `command ${name}`,
          isOrder: name === "stop" || name === "start",
          begin: () => run(name, Number(pid)),
          reply: (code) =>
            new Promise<void>((resolve) => {
              // the command has ended when it lets go, which it may have done long ago
              if (socket.destroyed || socket.readableEnded) return resolve()
              socket.once("close", () => resolve())
              socket.write(`${String(code)}\n`)
            })
        }).then(() => socket.destroy())
      })
    }),
    path,
    () => undefined
  )

/** A command of a stack: it says its name and process, and ends as it is told. Deaf, it would end as killed. */
export const program = (path: string) =>
  `use IO::Socket::UNIX; $| = 1;
my $s = IO::Socket::UNIX->new(Peer => '${path}') or exit 9;
print $s "$ARGV[0] $$\\n"; $s->flush;
my $l = <$s>; exit(defined $l ? int($l) : 8);
`
