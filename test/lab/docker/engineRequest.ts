/**
 * HTTP over a UNIX socket, as the Docker Engine API speaks it.
 */
import { Effect } from "effect"
import * as Http from "node:http"
import { Readable } from "node:stream"
import { LabError } from "../postgresInstall.ts"

export interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: Buffer
  readonly text: string
  readonly json: <A = unknown>() => A
}

export interface RequestOptions {
  /** After this the request is given up. 60 s where nothing is said. */
  readonly timeoutMillis?: number
}

/** Any answer is a success; only a server that does not answer is an error. A stream goes as a tar archive. */
export const request = (
  socket: string,
  method: string,
  path: string,
  body?: unknown,
  options?: RequestOptions
): Effect.Effect<Answer, LabError> =>
  Effect.async<Answer, LabError>((resume) => {
    const fail = (error: Error) => resume(new LabError({ message: `${method} ${path}: ${error.message}` }))
    const type = body instanceof Readable ? "application/x-tar" : "application/json"
    const headers = { host: "docker", ...(body === undefined ? {} : { "content-type": type }) }
    const sent = Http.request({ socketPath: socket, method, path, headers, agent: false }, (answer) => {
      const pieces: Array<Buffer> = []
      answer.on("error", fail)
      answer.on("data", (piece: Buffer) => pieces.push(piece))
      answer.on("end", () => {
        const whole = Buffer.concat(pieces)
        resume(Effect.succeed({
          status: answer.statusCode ?? 0,
          headers: answer.headers,
          body: whole,
          text: whole.toString(),
          json: <A>() => JSON.parse(whole.toString()) as A
        }))
      })
    })
    sent.on("error", fail)
    if (body instanceof Readable) body.on("error", fail).pipe(sent)
    else sent.end(body === undefined ? undefined : JSON.stringify(body))
    return Effect.sync(() => sent.destroy())
  }).pipe(Effect.timeoutFail({
    duration: options?.timeoutMillis ?? 60_000,
    onTimeout: () => new LabError({ message: `${method} ${path}: no answer in time` })
  }))
