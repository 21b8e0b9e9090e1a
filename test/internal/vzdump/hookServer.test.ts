import { assert, describe } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Option, Ref, Scope } from "effect"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import type { HostedAnswer, Jobs } from "../../../src/internal/agent/jobs.ts"
import { ask } from "../../../src/internal/vzdump/hookClient.ts"
import { serve } from "../../../src/internal/vzdump/hookServer.ts"
import * as Processes from "../../../src/internal/vzdump/processes.ts"
import * as RunId from "../../../src/domain/RunId.ts"
import { agentOf, begin, ended, until } from "../../lab/vzdump/drive.ts"
import { type LabHost, labHost } from "../../lab/vzdump/host.ts"
import { eventually, start } from "../../layers/fixtures/support.ts"
import { live } from "../../support/live.ts"

const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, "0")

/** The host believes that this process is a vzdump. */
const pretend = (host: LabHost, type = "vzdump", id = "100", later = 0) =>
  Effect.gen(function*() {
    const startTime = ((yield* Processes.look(process.pid))?.startTime ?? 0) + later
    const upid = `UPID:pve1:${hex(process.pid)}:${hex(startTime)}:00000000:${type}:${id}:root@pam:`
    yield* Effect.sync(() => Fs.writeFileSync(host.paths.pidFile, `${upid}\n`))
    return upid
  })

const scripted = (hosted: (handle: string) => Effect.Effect<HostedAnswer>) =>
  Effect.gen(function*() {
    const host = yield* labHost
    const socket = Path.join(host.root, "agent", "hook.sock")
    const jobs: Pick<Jobs, "guest" | "hosted"> = { guest: "web", hosted }
    yield* serve({ socket, host: host.paths, guests: new Map([[100, jobs]]) })
    return { host, socket }
  })

const wait = Duration.seconds(5)

/** Sends these bytes, and answers with all that comes back. */
const say = (socket: string, ...pieces: ReadonlyArray<string>) =>
  Effect.async<string>((resume) => {
    let text = ""
    const connection = Net.connect(socket, () => pieces.forEach((piece) => connection.write(piece)))
    connection.on("data", (chunk) => {
      text += chunk.toString("utf8")
    })
    connection.on("error", () => undefined)
    connection.once("close", () => resume(Effect.succeed(text)))
  })

describe("the socket of the vzdump hook", () => {
  live("is for its owner alone, and outlives one that was left", [], () =>
    Effect.gen(function*() {
      const { host, socket } = yield* scripted(() => Effect.never)
      assert.strictEqual(Fs.statSync(socket).mode & 0o777, 0o600)
      assert.strictEqual(Fs.statSync(Path.dirname(socket)).mode & 0o777, 0o700)
      const again = yield* Effect.flip(Effect.scoped(serve({ socket, guests: new Map() })))
      assert.match(again.message, /another agent listens there/)
      const left = Path.join(host.root, "left.sock")
      const holder = yield* start([
        process.execPath,
        "-e",
        `require("net").createServer().listen(${JSON.stringify(left)}, () => console.log("listens"))`
      ])
      yield* eventually("it listens", () => holder.output().includes("listens"))
      yield* holder.kill("SIGKILL")
      yield* holder.ended
      yield* Effect.scoped(serve({ socket: left, guests: new Map() }))
      const file = Path.join(host.root, "file")
      Fs.writeFileSync(file, "precious")
      assert.match(
        (yield* Effect.flip(Effect.scoped(serve({ socket: file, guests: new Map() })))).message,
        /not a socket/
      )
      assert.strictEqual(Fs.readFileSync(file, "utf8"), "precious")
    }))

  live(
    "a guest that is not configured, and a host without a vzdump, are answered at once",
    [],
    () =>
      Effect.gen(function*() {
        const asked = yield* Ref.make<ReadonlyArray<string>>([])
        const runId = yield* RunId.make
        const { host, socket } = yield* scripted((handle) =>
          Effect.as(Ref.update(asked, (all) => [...all, handle]), { quiet: true, runId })
        )
        assert.deepStrictEqual(yield* ask({ socket, vmid: 101, wait }), { _tag: "NotOurs" })
        const refusal = Effect.map(ask({ socket, vmid: 100, wait }), (answer) => {
          assert.strictEqual(answer._tag, "NotQuiet")
          return answer._tag === "NotQuiet" ? answer.reason : ""
        })
        assert.match(yield* refusal, /no UPID of one that runs/)
        yield* pretend(host, "qmstart")
        assert.match(yield* refusal, /no UPID of one that runs/)
        // its process id is used again
        yield* pretend(host, "vzdump", "100", 1)
        assert.match(yield* refusal, /no UPID of one that runs/)
        yield* pretend(host, "vzdump", "101")
        assert.match(yield* refusal, /is one of guest 101/)
        assert.deepStrictEqual(yield* Ref.get(asked), [])
        const several = yield* pretend(host, "vzdump", "")
        assert.deepStrictEqual(yield* ask({ socket, vmid: 100, wait }), { _tag: "Quiet", guest: "web", runId })
        assert.deepStrictEqual(yield* Ref.get(asked), [several])
      })
  )

  live("whoever goes away has asked for nothing", [], () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const over = yield* Deferred.make<void>()
      const { host, socket } = yield* scripted(() =>
        Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(over, undefined))
        )
      )
      yield* pretend(host)
      const client = yield* Effect.fork(ask({ socket, vmid: 100, wait }))
      yield* Deferred.await(begun)
      yield* client.interruptAsFork(client.id())
      yield* Effect.timeout(Deferred.await(over), "2 seconds")
      const error = yield* Effect.flip(ask({ socket, vmid: 100, wait: Duration.millis(100) }))
      assert.isTrue(error.timedOut)
    }))

  live("an agent that ends does not wait for the answers that it owes", [], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      yield* pretend(host)
      const socket = Path.join(host.root, "agent", "hook.sock")
      const over = yield* Deferred.make<void>()
      const hosted = () => Effect.onInterrupt(Effect.never, () => Deferred.succeed(over, undefined))
      const scope = yield* Scope.make()
      const guests = new Map([[100, { guest: "web", hosted }]])
      yield* Scope.extend(serve({ socket, host: host.paths, guests }), scope)
      const client = yield* Effect.fork(Effect.flip(ask({ socket, vmid: 100, wait })))
      yield* Effect.sleep("100 millis")
      const [took] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(took), 1_000)
      assert.match((yield* Fiber.join(client)).message, /went away without an answer/)
      yield* Effect.timeout(Deferred.await(over), "1 second")
    }))

  live("what is no question gets no guest stopped", [], () =>
    Effect.gen(function*() {
      const { host, socket } = yield* scripted(() => Effect.dieMessage("asked"))
      yield* pretend(host)
      const question = { version: 1, vmid: 100, waitMs: 1000 }
      const wrong = [
        "{}",
        "null",
        "",
        "[".repeat(4000),
        ...[
          { ...question, version: 2 },
          { ...question, vmid: "100" },
          { ...question, vmid: 1 },
          { ...question, waitMs: -1 }
        ].map((one) => JSON.stringify(one))
      ]
      for (const line of wrong) assert.match(yield* say(socket, `${line}\n`), /"NotQuiet".*not understood/, line)
      assert.match(yield* say(socket, "x".repeat(3000), "x".repeat(3000)), /not understood/)
      assert.match(yield* say(socket, `{"version":1,`, `"vmid":101,"waitMs":1}\n`), /NotOurs/)
    }))
})

describe("a backup that the host begins", () => {
  /** A vzdump of the host itself, which waits at its line `backup mode` until we let it go on. */
  const hostBackup = (holds: ReadonlyArray<string> = ["ionice priority", "archive file size"]) =>
    Effect.gen(function*() {
      const host = yield* labHost
      host.control({ holdBefore: holds })
      const agent = yield* agentOf(host)
      const socket = Path.join(host.root, "agent", "hook.sock")
      yield* serve({ socket, host: host.paths, guests: new Map([[100, agent.jobs]]) })
      const vzdump = yield* start([host.paths.vzdump, "100", "--mode", "snapshot", "--storage", "backup"])
      yield* eventually("it has the lock", () => host.callsOf("started").length > 0)
      return { host, agent, socket, vzdump }
    })

  live("waits until the guest is quiet, and is followed to its end", ["flock"], () =>
    Effect.gen(function*() {
      const { agent: { jobs }, host, socket } = yield* hostBackup()
      const controller = yield* Effect.fork(Effect.gen(function*() {
        const runId = Option.getOrThrow(yield* jobs.asked("5 seconds"))
        yield* jobs.request(runId)
        assert.strictEqual((yield* until(jobs, runId, "ready")).phase, "ready")
        yield* Effect.sleep("200 millis")
        yield* jobs.quiesced(runId)
        return runId
      }))
      yield* Effect.sleep("100 millis")
      const [took, answer] = yield* Effect.timed(ask({ socket, vmid: 100, wait }))
      assert.strictEqual(answer._tag, "Quiet")
      assert.isAtLeast(Duration.toMillis(took), 200)
      const runId = yield* controller
      assert.strictEqual((yield* until(jobs, runId, "running")).phase, "running")
      host.go(0)
      assert.strictEqual((yield* until(jobs, runId, "snapshotted")).phase, "snapshotted")
      host.go(1)
      const status = yield* ended(jobs, runId)
      assert.strictEqual(status.phase, "done", status.error)
      assert.match(status.artifact ?? "", /vzdump-lxc-100/)
      assert.strictEqual(host.callsOf("called").length, 1)
    }))

  live("is found again by the next agent", ["flock"], () =>
    Effect.gen(function*() {
      const { agent, host, socket } = yield* hostBackup()
      const controller = yield* Effect.fork(Effect.gen(function*() {
        const runId = Option.getOrThrow(yield* agent.jobs.asked("5 seconds"))
        yield* agent.jobs.quiesced(runId)
        return runId
      }))
      yield* Effect.sleep("100 millis")
      yield* ask({ socket, vmid: 100, wait })
      const runId = yield* controller
      yield* agent.close
      host.go(0)
      const { jobs } = yield* agentOf(host)
      assert.strictEqual((yield* until(jobs, runId, "snapshotted")).phase, "snapshotted")
      host.go(1)
      assert.strictEqual((yield* ended(jobs, runId)).phase, "done")
    }))

  live("is not ended by a cancel of its guest, which shares it with others", ["flock"], () =>
    Effect.gen(function*() {
      const { agent: { jobs }, host, socket, vzdump } = yield* hostBackup()
      const controller = yield* Effect.fork(Effect.gen(function*() {
        const runId = Option.getOrThrow(yield* jobs.asked("5 seconds"))
        yield* jobs.quiesced(runId)
        return runId
      }))
      yield* Effect.sleep("100 millis")
      yield* ask({ socket, vmid: 100, wait })
      const runId = yield* controller
      yield* until(jobs, runId, "running")
      yield* jobs.cancel(runId)
      assert.strictEqual((yield* ended(jobs, runId)).phase, "failed")
      host.go(0)
      host.go(1)
      yield* Effect.timeout(vzdump.ended, "10 seconds")
      assert.strictEqual(host.callsOf("ended")[0]?.code, 0)
    }))

  live("that dies without a word is no success", ["flock"], () =>
    Effect.gen(function*() {
      const { agent: { jobs }, host, socket } = yield* hostBackup()
      const controller = yield* Effect.fork(Effect.gen(function*() {
        const runId = Option.getOrThrow(yield* jobs.asked("5 seconds"))
        yield* jobs.quiesced(runId)
        return runId
      }))
      yield* Effect.sleep("100 millis")
      yield* ask({ socket, vmid: 100, wait })
      const runId = yield* controller
      yield* until(jobs, runId, "running")
      process.kill(host.callsOf("started")[0]?.pid ?? 0, "SIGKILL")
      assert.match((yield* ended(jobs, runId)).error ?? "", /nobody knows how it ended/)
    }))

  live("nobody listens in the guest: answered at once", ["flock"], () =>
    Effect.gen(function*() {
      const { agent: { jobs }, socket } = yield* hostBackup()
      const [took, answer] = yield* Effect.timed(ask({ socket, vmid: 100, wait }))
      assert.isBelow(Duration.toMillis(took), 500)
      assert.deepStrictEqual(answer, {
        _tag: "NotQuiet",
        guest: "web",
        reason: "no controller of this guest waits for questions"
      })
      assert.deepStrictEqual(yield* jobs.list, [])
    }))

  live("the hook gives up: the question is void, and the next run is free", ["flock"], () =>
    Effect.gen(function*() {
      const { agent: { jobs }, host, socket } = yield* hostBackup()
      yield* Effect.fork(jobs.asked("5 seconds"))
      yield* Effect.sleep("50 millis")
      const error = yield* Effect.flip(ask({ socket, vmid: 100, wait: Duration.millis(300) }))
      assert.isTrue(error.timedOut)
      const [job] = yield* jobs.list
      assert.isDefined(job)
      assert.strictEqual((yield* ended(jobs, job?.runId ?? (yield* RunId.make))).phase, "failed")
      assert.deepStrictEqual(yield* jobs.asked("50 millis"), Option.none())
      host.go(0)
      host.go(1)
      const runId = yield* begin(jobs)
      yield* jobs.cancel(runId)
    }))

  live("that our own agent has begun is not asked twice", ["flock"], () =>
    Effect.gen(function*() {
      const host = yield* labHost
      host.control({ holdBefore: ["ionice priority"] })
      const { jobs } = yield* agentOf(host)
      const socket = Path.join(host.root, "agent", "hook.sock")
      yield* serve({ socket, host: host.paths, guests: new Map([[100, jobs]]) })
      const runId = yield* begin(jobs)
      yield* jobs.quiesced(runId)
      yield* eventually("it has the lock", () => host.callsOf("started").length > 0)
      const [took, answer] = yield* Effect.timed(ask({ socket, vmid: 100, wait }))
      assert.deepStrictEqual(answer, { _tag: "Quiet", guest: "web", runId })
      assert.isBelow(Duration.toMillis(took), 500)
      host.go()
      assert.strictEqual((yield* ended(jobs, runId)).phase, "done")
    }))
})
