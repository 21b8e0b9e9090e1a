/**
 * Many guests that wait for the same agent, by Node alone: each has a connection, a backup and an open question of its
 * own, and asks again as soon as it is answered.
 */
import { Effect } from "effect"
import * as Https from "node:https"
import type { BackupStatus } from "../../src/domain/Backup.ts"
import * as RunId from "../../src/domain/RunId.ts"
import type { Serving } from "./agentProcess.ts"
import { now } from "./clock.ts"
import { main, say } from "./process.ts"

export interface GuestsTask {
  readonly url: string
  readonly guests: Serving["guests"]
}

/** A change that a guest was told. */
export interface Woken {
  readonly runId: string
  readonly at: number
}

/** What has happened since the last order: each order asks for that. The first line comes when all wait. */
export interface Told {
  readonly woken: ReadonlyArray<Woken>
  /** Questions that were asked again, because nothing had changed for as long as the agent waits. */
  readonly renewed: number
}

/** As the client of the agent does it. */
const wait = "30s"

/** How many guests begin at once: the handshakes are not what is measured. */
const atOnce = 16

interface Guest {
  readonly agent: Https.Agent
  readonly token: string
}

const ask = (url: string, { agent, token }: Guest, method: string, path: string, body?: unknown) =>
  Effect.async<BackupStatus, Error>((resume) => {
    const fail = (error: Error) => resume(Effect.fail(error))
    const text = body === undefined ? undefined : JSON.stringify(body)
    Https.request(`${url}/v1/backups${path}`, {
      method,
      agent,
      rejectUnauthorized: false,
      headers: {
        authorization: `Bearer ${token}`,
        ...text === undefined ? {} : { "content-type": "application/json", "content-length": text.length }
      }
    }, (response) => {
      let answer = ""
      response.on("data", (chunk: Buffer) => {
        answer += chunk.toString("utf8")
      })
      response.on("end", () =>
        response.statusCode === 200
          ? resume(Effect.sync(() => JSON.parse(answer) as BackupStatus))
          : fail(new Error(`${method} ${path}: ${response.statusCode} ${answer}`)))
      response.on("error", fail)
    }).on("error", fail).end(text)
  })

main(({ guests, url }: GuestsTask, obey) => {
  let told: { woken: Array<Woken>; renewed: number } = { woken: [], renewed: 0 }

  const until = (guest: Guest, runId: string, phase: string) =>
    Effect.iterate({ runId, revision: -1, phase: "" } as BackupStatus, {
      while: (status) => status.phase !== phase,
      body: ({ revision }) => ask(url, guest, "GET", `/${runId}?after=${revision}&wait=${wait}`)
    })

  const begin = (token: string) =>
    Effect.gen(function*() {
      const guest = { agent: new Https.Agent({ keepAlive: true, maxSockets: 1 }), token }
      const runId = yield* RunId.make
      yield* ask(url, guest, "POST", "", { runId })
      yield* until(guest, runId, "ready")
      yield* ask(url, guest, "POST", `/${runId}/quiesced`)
      return { guest, status: yield* until(guest, runId, "running") }
    })

  const listen = (guest: Guest, first: BackupStatus) =>
    Effect.iterate(first, {
      while: () => true,
      body: ({ revision, runId }) =>
        Effect.tap(ask(url, guest, "GET", `/${runId}?after=${revision}&wait=${wait}`), (status) =>
          Effect.sync(() => {
            if (status.revision === revision) told.renewed++
            else told.woken.push({ runId, at: now() })
          }))
    })

  return Effect.gen(function*() {
    // asks at once: a connection that is not used is closed by the agent
    yield* Effect.forEach(
      guests,
      ({ token }) =>
        Effect.flatMap(
          begin(token),
          ({ guest, status }) => Effect.forkScoped(Effect.tapErrorCause(listen(guest, status), Effect.logError))
        ),
      { concurrency: atOnce, discard: true }
    )
    yield* Effect.sync(() => say({ waiting: guests.length }))
    return yield* obey(() =>
      Effect.sync(() => {
        const before = told
        told = { woken: [], renewed: 0 }
        return before satisfies Told
      })
    )
  })
})
