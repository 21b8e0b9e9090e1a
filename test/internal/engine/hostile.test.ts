/**
 * A front that was taken over: whatever it says, the engine's side does only what its own configuration has, of the guest
 * that is named, and no command ever carries the id of another one.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, FastCheck, Logger, Option } from "effect"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { longestOrder } from "../../../src/internal/engine/protocol.ts"
import * as EngineServer from "../../../src/internal/engine/server.ts"
import * as Command from "../../../src/internal/vzdump/command.ts"
import * as EngineVzdump from "../../../src/layers/EngineVzdump.ts"
import type { Engine } from "../../../src/services/Engine.ts"
import { labHost } from "../../lab/vzdump/host.ts"
import { tempDir } from "../../layers/fixtures/support.ts"
import { type Attack, attack, understood, vmids } from "../../support/hostileFront.ts"
import { live } from "../../support/live.ts"

interface Entry {
  readonly guest: string
  readonly what: string
  readonly runId?: string
  readonly handle?: string | undefined
  readonly argv?: ReadonlyArray<string>
}

/** An engine that writes down what it is asked, and the command that it would run. */
const recording = (guest: string, vmid: number, journal: Array<Entry>): Engine => {
  const note = (entry: Omit<Entry, "guest">) => Effect.sync(() => void journal.push({ guest, ...entry }))
  return {
    survives: true,
    preflight: Effect.as(note({ what: "Preflight" }), { notes: [] }),
    prepare: note({ what: "Prepare" }),
    sweep: Effect.as(note({ what: "Sweep" }), []),
    run: (job) =>
      Effect.gen(function*() {
        yield* note({ what: "Run", runId: job.runId })
        yield* job.ready()
        yield* note({ what: "reads", runId: job.runId })
        yield* job.remember("/a/path/of/its/own")
        const argv = Command.argv("vzdump", { vmid, storage: "backup" }, { type: "lxc" }, job.runId)
        yield* note({ what: "spawns", runId: job.runId, argv })
        return { location: "/artifact" }
      }),
    resume: ({ runId }, handle) => Effect.as(note({ what: "Resume", runId, handle }), { location: "/artifact" })
  }
}

/** The engine's side, and what its engines were asked. */
const side = Effect.gen(function*() {
  const socket = Path.join(yield* tempDir, "engine.sock")
  const journal: Array<Entry> = []
  const guests = new Map(
    Object.entries(vmids).map(([name, vmid]) => [name, {
      engine: recording(name, vmid, journal),
      task: Effect.sync(() => {
        journal.push({ guest: name, what: "Task" })
        return Option.none()
      })
    }])
  )
  yield* EngineServer.serve({ socket, guests }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
  return { journal, socket }
})

interface Heard {
  readonly answers: ReadonlyArray<string>
  /** The orders that it gave to a question. */
  readonly orders: ReadonlyArray<string>
}

/** Does it, until the connection ends. */
const carryOut = (socket: string, { first, isHasty, orders }: Attack) =>
  Effect.async<Heard>((resume) => {
    const said: Array<string> = []
    let text = ""
    let taken = 0
    const connection = Net.connect(socket, () => {
      connection.write(`${first}\n`)
      if (isHasty) connection.write(`${orders[0]}\n`)
    })
    connection.on("error", () => undefined)
    connection.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8")
      for (const line of text.split("\n").slice(taken, -1)) {
        taken++
        if (!/"_tag":"(Ready|Remember)"/.test(line)) continue
        const order = orders[said.length]
        if (order === undefined) connection.end()
        else {
          said.push(order)
          connection.write(`${order}\n`)
        }
      }
    })
    connection.once("close", () => resume(Effect.succeed({ answers: text.split("\n").slice(0, -1), orders: said })))
    return Effect.sync(() => connection.destroy())
  })

const yes = (to: string) => `{"_tag":"Yes","to":"${to}"}`

describe("a front that was taken over", () => {
  live(
    "20,000 requests: each is understood as it must be, or is rejected and does nothing",
    [],
    () =>
      Effect.gen(function*() {
        const seed = yield* Effect.sync(() => Date.now() % 2 ** 31)
        const count = { all: 0, understood: 0, spawned: 0 }
        const play = Effect.fnUntraced(function*({ journal, socket }: Effect.Effect.Success<typeof side>, one: Attack) {
          journal.length = 0
          const { answers, orders } = yield* carryOut(socket, one)
          const what = `seed ${seed}, ${JSON.stringify(one)}: ${JSON.stringify({ answers, journal })}`
          count.all++
          const meant = understood(one.first)
          if (meant === undefined) {
            assert.deepStrictEqual(journal, [], what)
            assert.match(answers.at(-1) ?? "", /^\{"_tag":"Rejected",/, what)
            return
          }
          count.understood++
          // an order that nobody has asked for may come before the call has begun
          if (one.isHasty && journal.length === 0) return
          const { guest, handle, runId, tag } = meant
          const [begun, ...rest] = journal
          assert.deepStrictEqual(
            [begun?.what, begun?.guest, begun?.runId, begun?.handle],
            [tag, guest, runId, handle],
            what
          )
          const isDown = !one.isHasty && orders[0] === yes("ready")
          const isKept = isDown && orders[1] === yes("remember")
          const expected = tag !== "Run" ? [] : isKept ? ["reads", "spawns"] : isDown ? ["reads"] : []
          if (!one.isHasty) assert.deepStrictEqual(rest.map(({ what }) => what), expected, what)
          for (const { argv } of rest) {
            if (argv === undefined) continue
            count.spawned++
            const notes = `{{guestname}} (quiesce run ${runId})`
            assert.deepStrictEqual(argv, [
              "vzdump",
              `${vmids[guest]}`,
              ..."--mode snapshot --storage backup --remove 0 --lockwait 0 --compress zstd --notes-template".split(" "),
              notes
            ], what)
          }
          if (isKept && tag === "Run") assert.match(answers.at(-1) ?? "", /^\{"_tag":"Done",/, what)
        })
        // each with a side of its own: what one was asked is not mixed with another
        const lanes = 8
        const all = FastCheck.sample(attack, { numRuns: 20_000, seed })
        const known = new Map(Object.entries(vmids))
        for (const { first } of all) {
          // what is longer does not come so far
          if (Buffer.byteLength(first) > longestOrder) continue
          const admitted = Option.map(EngineServer.admit(first, known), ({ request, served }) => ({
            vmid: served,
            tag: request._tag,
            guest: request.guest,
            runId: "runId" in request ? request.runId : undefined,
            handle: "handle" in request ? request.handle : undefined
          }))
          const meant = understood(first)
          assert.deepStrictEqual(
            Option.getOrUndefined(admitted),
            meant === undefined ? undefined : { vmid: vmids[meant.guest] ?? 0, ...meant },
            `seed ${seed}, ${first}`
          )
        }
        // over real connections: all that are understood, and some of the others
        const chosen = all.filter(({ first }, index) => index % 10 === 0 || understood(first) !== undefined)
        yield* Effect.forEach(Array.from({ length: lanes }).keys(), (lane) =>
          Effect.flatMap(side, (mine) =>
            Effect.forEach(
              chosen.filter((_, index) =>
                index % lanes === lane
              ),
              (one) => play(mine, one),
              { discard: true }
            )), { concurrency: lanes, discard: true })
        assert.strictEqual(count.all, chosen.length)
        assert.isAbove(count.understood, 1_000)
        assert.isAbove(count.all - count.understood, 1_000)
        assert.isAbove(count.spawned, 20)
      }),
    180_000
  )

  live(
    "with a vzdump that writes down how it is called: its words are those of its guest",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const host = yield* labHost
        const calls = Path.join(host.root, "argv")
        Fs.writeFileSync(host.paths.vzdump, `#!/bin/sh\nprintf '%s\\037' "$@" >>'${calls}'\necho >>'${calls}'\n`)
        const socket = Path.join(yield* tempDir, "engine.sock")
        const guests = new Map(
          yield* Effect.forEach(Object.entries(vmids), ([name, vmid]) =>
            Effect.map(
              EngineVzdump.make({
                vmid,
                storage: "backup",
                stateDir: Path.join(host.stateDir, name),
                host: host.paths
              }),
              (engine) => [name, { engine, task: Effect.succeed(Option.none()) }] as const
            ))
        )
        yield* EngineServer.serve({ socket, guests }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
        const seed = yield* Effect.sync(() => Date.now() % 2 ** 31)
        // a run of the one guest alone
        const alone = "01932c07-209c-7000-8000-00000000abcd"
        const polite = ["web", "db"].map((guest): Attack => ({
          first: JSON.stringify({ _tag: "Run", version: 1, guest, runId: "01932c07-209c-7000-8000-000000000200" }),
          orders: [yes("ready"), yes("remember")],
          isHasty: false
        }))
        polite.push({
          first: JSON.stringify({ _tag: "Run", version: 1, guest: "db", runId: alone }),
          orders: [yes("ready"), yes("remember")],
          isHasty: false
        })
        const hostile = FastCheck.sample(attack, { numRuns: 400, seed }).map((one) => ({
          ...one,
          orders: [yes("ready"), yes("remember")]
        }))
        yield* Effect.forEach([...polite, ...hostile], (one) => carryOut(socket, one), { concurrency: 4 })
        const called = Fs.readFileSync(calls, "utf8").split("\n").filter((line) => line !== "").map((line) =>
          line.split("\u001f").slice(0, -1)
        )
        assert.isAtLeast(called.length, 2)
        for (const [vmid, ...words] of called) {
          assert.include(["100", "200"], vmid, `seed ${seed}`)
          const notes = words.pop()
          assert.deepStrictEqual(
            words.join(" "),
            "--mode snapshot --storage backup --remove 0 --lockwait 0 --compress zstd --notes-template",
            `seed ${seed}`
          )
          assert.match(notes ?? "", /^\{\{guestname\}\} \(quiesce run [0-9a-f-]{36}\)$/)
        }
        // what is another guest's is not followed, whatever is called its handle
        const resume = (guest: string, handle: string) =>
          Effect.map(
            carryOut(socket, {
              first: JSON.stringify({ _tag: "Resume", version: 1, guest, runId: alone, handle }),
              orders: [],
              isHasty: false
            }),
            ({ answers }) => answers.at(-1) ?? ""
          )
        const task = (id: string, type = "vzdump") => `UPID:pve1:0000AAAA:00001111:00002222:${type}:${id}:root@pam:`
        assert.include(yield* resume("web", task("200")), "is no backup of guest 100")
        assert.include(yield* resume("web", task("100", "qmdestroy")), "is no backup of guest 100")
        assert.include(yield* resume("web", task("100")), "nobody knows how it ended")
        assert.include(yield* resume("web", "own"), "the agent ended before vzdump was started")
        assert.notInclude(yield* resume("db", "own"), "the agent ended before vzdump was started")
        // a task of somebody else, or of another guest, is not followed; nothing was made beside the two directories
        assert.sameMembers(Fs.readdirSync(host.stateDir), ["web", "db"])
      }),
    180_000
  )
})
