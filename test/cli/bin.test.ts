/**
 * The built binary, as a user's shell, timer or pipe meets it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { spawn, spawnSync } from "node:child_process"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { live } from "../support/live.ts"

const bin = resolve("dist/bin.js")
const { version } = JSON.parse(readFileSync("package.json", "utf8"))

/** Without what the surroundings of the tests say about colors and configuration. */
const clean = { PATH: process.env["PATH"], HOME: "/nonexistent", LANG: "C.UTF-8" }

const makeDirectory = () => mkdtempSync(join(tmpdir(), "quiesce bin "))

const run = (
  argv: ReadonlyArray<string>,
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>>; readonly uid?: number } = {}
) => {
  const { env, ...rest } = options
  const { status, stderr, stdout } = spawnSync(process.execPath, [bin, ...argv], {
    encoding: "utf8",
    timeout: 30_000,
    cwd: "/",
    env: { ...clean, ...env },
    ...rest
  })
  return { status, stdout, stderr }
}

const directory = Effect.acquireRelease(
  Effect.sync(makeDirectory),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

describe("the command line", () => {
  it("--version is one line on stdout", () => {
    assert.deepStrictEqual(run(["--version"]), { status: 0, stdout: `${version}\n`, stderr: "" })
  })

  it("--help is on stdout, exit code 0; no command is help on stderr, exit code 2", () => {
    const asked = run(["--help"])
    const forgot = run([])
    assert.deepStrictEqual([asked.status, asked.stderr], [0, ""])
    assert.match(asked.stdout, /Usage: quiesce COMMAND \[OPTIONS\][^]* run +Takes one backup/)
    assert.deepStrictEqual(forgot, { status: 2, stdout: "", stderr: asked.stdout })
  })

  it("every command has help with its whole name, and no color without a terminal", () => {
    for (
      const path of [["run"], ["plan"], ["recover"], ["status"], ["config"], ["config", "check"], ["config", "show"]]
    ) {
      const { status, stdout } = run([...path, "--help"])
      assert.strictEqual(status, 0)
      assert.include(stdout, `Usage: quiesce ${path.join(" ")} `)
      assert.notInclude(stdout, "\u001b")
    }
  })

  it("FORCE_COLOR colors, also against NO_COLOR", () => {
    assert.include(run(["--help"], { env: { FORCE_COLOR: "1" } }).stdout, "\u001b[1mUsage:")
    assert.include(run(["--help"], { env: { FORCE_COLOR: "1", NO_COLOR: "1" } }).stdout, "\u001b[1mUsage:")
    assert.notInclude(run(["--help"], { env: { FORCE_COLOR: "0" } }).stdout, "\u001b")
  })

  const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
    [
      ["run", "--dryrun"],
      "quiesce run: unknown option '--dryrun'; did you mean '--dry-run'?\nsee 'quiesce run --help'\n"
    ],
    [["run", "--stack", "a", "--bogus"], "quiesce run: unknown option '--bogus'\nsee 'quiesce run --help'\n"],
    [
      ["run", "--stack", "a", "--stack", "b", "--dryrun"],
      "quiesce run: unknown option '--dryrun'; did you mean '--dry-run'?\nsee 'quiesce run --help'\n"
    ],
    [["run", "-x"], "quiesce run: unknown option '-x'\nsee 'quiesce run --help'\n"],
    [
      ["run", "a", "b"],
      "quiesce run: unexpected argument 'a'; a stack is named by --stack a\nsee 'quiesce run --help'\n"
    ],
    [["run", "--stack", ""], "quiesce run: the value of '--stack' is empty\nsee 'quiesce run --help'\n"],
    [["runn"], "quiesce: there is no command 'runn'; did you mean 'run'?\nsee 'quiesce --help'\n"]
  ]
  for (const [argv, stderr] of wrong) {
    it(`usage, said once on stderr: ${argv.join(" ")}`, () => {
      assert.deepStrictEqual(run(argv), { status: 2, stdout: "", stderr })
    })
  }

  it("a reader of stdout that is gone before the first byte is no error", () => {
    const { status, stderr } = spawnSync("bash", [
      "-c",
      "\"$0\" \"$1\" --help | head -c 0; exit ${PIPESTATUS[0]}",
      process.execPath,
      bin
    ], {
      encoding: "utf8",
      env: clean
    })
    assert.deepStrictEqual([status, stderr], [0, ""])
  })

  it("a stdout that is closed, or a full disk, is no crash", () => {
    for (const redirection of [">&-", ">/dev/full"]) {
      const { status } = spawnSync("bash", ["-c", `"$0" "$1" --help ${redirection}`, process.execPath, bin], {
        env: clean
      })
      assert.strictEqual(status, 0)
    }
  })

  it("a working directory that is gone is no crash", () => {
    const { status, stderr } = spawnSync(
      "bash",
      ["-c", "cd \"$(mktemp -d)\" && rmdir \"$PWD\" && \"$0\" \"$1\" config check", process.execPath, bin],
      { encoding: "utf8", env: clean }
    )
    assert.strictEqual(status, 2)
    assert.match(stderr, /no configuration file was found/)
  })
})

const stackFile = `version: 1
stateDir: ./state
maxDowntime: 20s
limits: { steadyTime: 100ms, resumeTimeout: 3s }
stacks:
  notes:
    command:
      stop:   [sh, -c, "echo stop >>log; rm up"]
      start:  [sh, -c, "sleep 0.2; echo start >>log; test ! -e broken && touch up"]
      status: [sh, -c, "test -e up || exit 3"]
agent:
  local:
    source: ./data
    snapshot: none
    transfer: { command: [sh, -c, "echo transfer >>log; sleep \${SLEEP:-0}; test -r \\"$1\\"", sh, "{snapshot}"] }
`

const project = Effect.map(directory, (path) => {
  mkdirSync(join(path, "data"))
  writeFileSync(join(path, "up"), "")
  writeFileSync(join(path, "quiesce.yaml"), stackFile)
  return {
    path,
    isUp: () => existsSync(join(path, "up")),
    log: () => existsSync(join(path, "log")) ? readFileSync(join(path, "log"), "utf8").trim().split("\n") : []
  }
})

/** Starts a run whose transfer takes a long time, and waits until the app is down and the transfer reads. */
const held = Effect.fnUntraced(function*(path: string, argv: ReadonlyArray<string> = ["run", "--json"]) {
  const child = spawn(process.execPath, [bin, ...argv], { cwd: path, env: { ...clean, SLEEP: "30" } })
  const output = { stdout: "", stderr: "" }
  child.stdout.on("data", (chunk: Buffer) => {
    output.stdout += chunk.toString()
  })
  child.stderr.on("data", (chunk: Buffer) => {
    output.stderr += chunk.toString()
  })
  const ended = Effect.async<number | null>((resume) => {
    if (child.exitCode !== null) resume(Effect.succeed(child.exitCode))
    child.once("close", (code) => resume(Effect.succeed(code)))
  })
  const log = join(path, "log")
  yield* Effect.sync(() => existsSync(log) && readFileSync(log, "utf8").includes("transfer")).pipe(
    Effect.repeat({ until: (reads) => reads, schedule: Schedule.spaced("20 millis") })
  )
  return { child, ended, output }
})

const pause = Effect.sleep("20 millis")

describe("the configuration file", () => {
  live("errors are on stderr with their place, exit code 2", [], () =>
    Effect.gen(function*() {
      const path = yield* directory
      writeFileSync(join(path, "quiesce.yaml"), "version: 1\nstack: {}\n")
      const { status, stderr, stdout } = run(["run"], { cwd: path })
      assert.deepStrictEqual([status, stdout], [2, ""])
      assert.include(stderr, `${path}/quiesce.yaml:2:1: stack: unknown key; did you mean 'stacks'?\n`)
    }))

  live("a file that this user may not read", ["root"], () =>
    Effect.gen(function*() {
      const path = yield* directory
      const file = join(path, "quiesce.yaml")
      writeFileSync(file, stackFile)
      chmodSync(path, 0o755)
      chmodSync(file, 0o600)
      assert.deepStrictEqual(run(["config", "check", "-c", file], { uid: 65534 }), {
        status: 2,
        stdout: "",
        stderr: `${file}: it cannot be read: permission denied; give this user the right to read it\n`
      })
    }))
})

describe("the commands", () => {
  live("a run from the first to the last word", ["flock"], () =>
    Effect.gen(function*() {
      const { isUp, log, path } = yield* project
      const { status, stderr, stdout } = run(["run", "--json"], { cwd: path })
      assert.strictEqual(status, 0)
      assert.strictEqual(stderr, "")
      const events = stdout.trimEnd().split("\n").map((line) => JSON.parse(line))
      assert.strictEqual(events.at(-1).outcome, "ok")
      assert.strictEqual(events.at(-1).consistency.level, "application")
      assert.isTrue(isUp())
      assert.deepStrictEqual(log(), ["stop", "transfer", "start"])
      const shown = run(["status", "--json"], { cwd: path })
      assert.strictEqual(shown.status, 0)
      assert.deepStrictEqual(JSON.parse(shown.stdout).reports, [events.at(-1)])
    }))

  live(
    "--dry-run and plan stop nothing and leave nothing but the state directory",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const { isUp, log, path } = yield* project
        assert.match(
          run(["plan"], { cwd: path }).stdout,
          /^notes: would stop notes, for at most 1h\nagent: down until the backup is done/
        )
        assert.strictEqual(run(["run", "--dry-run"], { cwd: path }).status, 0)
        assert.isTrue(isUp())
        assert.deepStrictEqual(log(), [])
        assert.deepStrictEqual(readdirSync(path).filter((name) => name !== "state").sort(), [
          "data",
          "quiesce.yaml",
          "up"
        ])
      })
  )

  for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130], ["SIGHUP", 129]] as const) {
    live(
      `${signal} in the middle of the hold: the app is up before the exit, code ${code}`,
      ["flock"],
      () =>
        Effect.gen(function*() {
          const { isUp, path } = yield* project
          const { child, ended, output } = yield* held(path)
          assert.isFalse(isUp())
          child.kill(signal)
          yield* pause
          child.kill("SIGINT")
          assert.strictEqual(yield* ended, code)
          assert.isTrue(isUp())
          const report = JSON.parse(output.stdout.trimEnd().split("\n").at(-1) ?? "")
          assert.deepStrictEqual([report.type, report.outcome, report.exitCode], ["report", "aborted", code])
          assert.deepStrictEqual(readdirSync(join(path, "state", "markers")), [])
          assert.strictEqual(run(["status"], { cwd: path }).status, 0)
        })
    )
  }

  live(
    "an app that does not come up after a signal: 4, and recover finishes later",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const { isUp, path } = yield* project
        const { child, ended, output } = yield* held(path, ["run"])
        writeFileSync(join(path, "broken"), "")
        child.kill("SIGTERM")
        assert.strictEqual(yield* ended, 4)
        assert.match(output.stdout, /THE APP IS NOT UP/)
        assert.strictEqual(run(["status"], { cwd: path }).status, 4)
        assert.strictEqual(run(["recover"], { cwd: path }).status, 4)
        rmSync(join(path, "broken"))
        // also with a file that cannot be used any more
        writeFileSync(join(path, "quiesce.yaml"), `${stackFile}oops: 1\n`)
        const recovered = run(["recover"], { cwd: path })
        assert.strictEqual(recovered.status, 2)
        assert.strictEqual(recovered.stdout, "notes/notes: started\neverything is up\n")
        assert.match(recovered.stderr, /oops: unknown key[^]*only the markers in .*\/state are followed/)
        assert.isTrue(isUp())
        writeFileSync(join(path, "quiesce.yaml"), stackFile)
        assert.strictEqual(run(["recover"], { cwd: path }).stdout, "no run left anything down\n")
      })
  )

  live(
    "kill -9: the dead-man brings the app up; a second run meanwhile is busy",
    ["flock"],
    () =>
      Effect.gen(function*() {
        const { isUp, path } = yield* project
        const { child, ended } = yield* held(path)
        const busy = run(["run"], { cwd: path })
        assert.strictEqual(busy.status, 5)
        assert.match(busy.stdout, /^result: +nothing was touched: another run is under way: /)
        child.kill("SIGKILL")
        yield* ended
        const wait = Date.now()
        while (!isUp() && Date.now() - wait < 5_000) yield* pause
        assert.isTrue(isUp())
      })
  )

  live("a reader of the events that is gone does not end the run", ["flock"], () =>
    Effect.gen(function*() {
      const { isUp, log, path } = yield* project
      const { status } = spawnSync("bash", [
        "-c",
        "\"$0\" \"$1\" run --json | head -n 1; exit ${PIPESTATUS[0]}",
        process.execPath,
        bin
      ], {
        cwd: path,
        env: clean
      })
      assert.strictEqual(status, 0)
      assert.isTrue(isUp())
      assert.deepStrictEqual(log(), ["stop", "transfer", "start"])
    }))
})
