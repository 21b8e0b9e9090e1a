import { assert, describe, it } from "@effect/vitest"
import { Cause, Exit } from "effect"
import { build } from "esbuild"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import { exitCode } from "../../src/cli/main.ts"

const directory = mkdtempSync(join(tmpdir(), "quiesce-main-"))
const program = join(directory, "program.mjs")

beforeAll(() =>
  build({ entryPoints: ["test/cli/mainProgram.ts"], outfile: program, bundle: true, platform: "node", format: "esm" })
)
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const until = async (condition: () => boolean) => {
  const end = Date.now() + 10_000
  while (!condition()) {
    if (Date.now() > end) throw new Error("waited for too long")
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const start = (mode: string, shell?: string) => {
  const child: ChildProcess = shell === undefined
    ? spawn(process.execPath, [program, mode])
    : spawn("bash", ["-c", shell, "bash", process.execPath, program, mode])
  let stderr = ""
  let stdout = 0
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const ended = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)))
  return {
    child,
    ended,
    stderr: () => stderr,
    said: (text: string) => until(() => stderr.includes(text)),
    /** Reads stdout from now on. */
    read: () =>
      child.stdout?.on("data", (chunk: Buffer) => {
        stdout += chunk.length
      }),
    stdout: () => stdout
  }
}

describe("signals", () => {
  const codes = [["SIGTERM", 143], ["SIGINT", 130], ["SIGHUP", 129]] as const
  for (const [signal, code] of codes) {
    it(`${signal}: releases, then exits ${code}`, async () => {
      const run = start("hold")
      await run.said("held")
      run.child.kill(signal)
      assert.strictEqual(await run.ended, code)
      assert.match(run.stderr(), new RegExp(`quiesce: ${signal}: stopping[^]*interrupted ${code}\nreleased`))
    })
  }

  it("INT INT TERM HUP: the later ones are answered and skip nothing, the first gives the code", async () => {
    const run = start("hold")
    await run.said("held")
    run.child.kill("SIGINT")
    await run.said("SIGINT: stopping")
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      run.child.kill(signal)
      await run.said(`${signal}: still stopping`)
    }
    assert.strictEqual(await run.ended, 130)
    assert.match(run.stderr(), /released\n$/)
    assert.strictEqual(run.stderr().match(/released/g)?.length, 1)
  })

  it("an app that is down is 4 whatever the signal says", async () => {
    const run = start("app-down")
    await run.said("held")
    run.child.kill("SIGTERM")
    assert.strictEqual(await run.ended, 4)
    assert.match(run.stderr(), /released\n$/)
  })

  it("SIGTERM beside a reader that does not read: released, then not waited for", async () => {
    const run = start("write-and-hold")
    await run.said("held")
    run.child.kill("SIGTERM")
    await new Promise((resolve) => run.child.once("exit", resolve))
    assert.strictEqual(run.child.exitCode, 143)
    assert.match(run.stderr(), /released\n$/)
  })

  it("SIGTERM while only the reader is waited for: the end, with the code of the program", async () => {
    const run = start("write")
    await run.said("released")
    run.child.kill("SIGTERM")
    await new Promise((resolve) => run.child.once("exit", resolve))
    assert.strictEqual(run.child.exitCode, 0)
  })
})

describe("crashes", () => {
  for (const mode of ["throw", "reject"]) {
    it(`${mode} in a callback: says it, releases, exits 70`, async () => {
      const run = start(mode)
      assert.strictEqual(await run.ended, 70)
      assert.match(run.stderr(), /internal error: Error: (thrown in a callback|rejected)[^]*interrupted 70\nreleased/)
    })
  }

  it("a defect: releases, says it, exits 70", async () => {
    const run = start("die")
    assert.strictEqual(await run.ended, 70)
    assert.match(run.stderr(), /released\nquiesce: internal error: [^]*a defect/)
  })
})

describe("the end", () => {
  it("a typed error ends with its own code, without a dump", async () => {
    const run = start("fail")
    assert.strictEqual(await run.ended, 7)
    assert.strictEqual(run.stderr(), "held\ninterrupted not\nreleased\n")
  })

  it("success is 0, after the release", async () => {
    const run = start("end")
    assert.strictEqual(await run.ended, 0)
    assert.match(run.stderr(), /released\n$/)
  })

  it("everything on stdout arrives, also at a slow reader", async () => {
    const run = start("write")
    await run.said("released")
    await new Promise((resolve) => setTimeout(resolve, 500))
    assert.strictEqual(run.child.exitCode, null)
    run.read()
    assert.strictEqual(await run.ended, 0)
    assert.strictEqual(run.stdout(), 1_000_000)
  })

  it("a reader of stdout that is gone ends nothing", async () => {
    const run = start("chatter", "\"$@\" | head -n 1 >/dev/null; exit ${PIPESTATUS[0]}")
    assert.strictEqual(await run.ended, 0)
    assert.match(run.stderr(), /released\n$/)
  })

  it("a stdout that was never open, and a reader of stderr that is gone", async () => {
    const closed = start("chatter", "\"$@\" >&-")
    assert.strictEqual(await closed.ended, 0)
    assert.match(closed.stderr(), /released\n$/)
    const deaf = start("chatter", "\"$@\" 2> >(head -c 1 >/dev/null) >/dev/null")
    assert.strictEqual(await deaf.ended, 0)
  })
})

describe("the exit code", () => {
  const none = { signal: undefined, crashed: false, concluded: undefined }
  const failed = (code: number) => Exit.fail({ exitCode: code })
  const interrupted = Exit.failCause(Cause.interrupt({ _tag: "Runtime", id: 1, startTimeMillis: 0 } as never))

  it("what is known wins over the signal", () => {
    assert.strictEqual(exitCode(Exit.void, none), 0)
    assert.strictEqual(exitCode(failed(3), none), 3)
    assert.strictEqual(exitCode(Exit.fail("no code"), none), 70)
    assert.strictEqual(exitCode(Exit.die("x"), none), 70)
    assert.strictEqual(exitCode(interrupted, none), 130)
    assert.strictEqual(exitCode(interrupted, { ...none, signal: "SIGTERM" }), 143)
    assert.strictEqual(exitCode(failed(130), { ...none, signal: "SIGTERM" }), 143)
    assert.strictEqual(exitCode(failed(1), { ...none, signal: "SIGTERM" }), 1)
    assert.strictEqual(exitCode(failed(4), { ...none, signal: "SIGTERM", crashed: true }), 4)
    assert.strictEqual(exitCode(failed(1), { ...none, crashed: true }), 70)
    assert.strictEqual(exitCode(interrupted, { ...none, signal: "SIGTERM", concluded: 4 }), 4)
    assert.strictEqual(exitCode(interrupted, { ...none, signal: "SIGTERM", concluded: 143 }), 143)
    assert.strictEqual(exitCode(interrupted, { ...none, crashed: true, concluded: 0 }), 70)
  })
})
