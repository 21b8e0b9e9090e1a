/**
 * `quiesce agent` and its tokens, as the built binary.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { bin, start } from "../live/quiesce.ts"
import { live } from "../support/live.ts"

const site = Effect.acquireRelease(
  Effect.sync(() => {
    const directory = mkdtempSync(join(tmpdir(), "quiesce-agent-"))
    mkdirSync(join(directory, "data"))
    writeFileSync(join(directory, "data", "file"), "data")
    const guest = (name: string) =>
      `  ${name}:\n    local: { source: ./data, snapshot: copy, transfer: { archive: { to: ./${name} } } }\n`
    writeFileSync(
      join(directory, "agent.yaml"),
      `version: 1\nstateDir: ./agent\nsockets: ./sockets\nguests:\n${guest("web")}${guest("mail")}`
    )
    return directory
  }),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

const call = (cwd: string, ...argv: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [bin, ...argv], {
    cwd,
    encoding: "utf8",
    timeout: 30_000,
    env: { PATH: process.env["PATH"], HOME: "/nonexistent" }
  })
  return { status, stdout, stderr }
}

/** An agent that has said that it serves. */
const serving = Effect.fnUntraced(function*(cwd: string) {
  const agent = yield* start(["agent", "--json"], { cwd })
  yield* Effect.repeat(Effect.sync(() => agent.stderr()), { until: (text) => text.includes("listens on") })
  return agent
})

describe("quiesce agent token", () => {
  live(
    "makes one, shows when, and takes all back; the secret is nowhere on the disk",
    [],
    () =>
      Effect.gen(function*() {
        const cwd = yield* site
        const made = call(cwd, "agent", "token", "--guest", "web")
        assert.strictEqual(made.status, 0, made.stderr)
        assert.match(made.stdout, /^web~[A-Za-z0-9_-]{43}\n$/)
        assert.strictEqual(made.stderr, "")
        const file = join(cwd, "agent", "tokens", "web.json")
        assert.strictEqual(statSync(file).mode & 0o777, 0o600)
        assert.notInclude(readFileSync(file, "utf8"), made.stdout.trim().slice(4))
        const short = call(cwd, "agent", "token", "-g", "web", "--expires", "2h", "--json")
        assert.match(JSON.parse(short.stdout).token, /^web~/)
        const listed = JSON.parse(call(cwd, "agent", "token", "-g", "web", "--list", "--json").stdout)
        assert.deepStrictEqual(listed.tokens.map(({ expires }: { expires: unknown }) => expires === null), [
          true,
          false
        ])
        assert.match(call(cwd, "agent", "token", "-g", "web", "--revoke").stdout, /^2 tokens of 'web' revoked\n$/)
        assert.match(call(cwd, "agent", "token", "-g", "web", "--list").stdout, /^guest 'web' has no token\n$/)
      })
  )

  live("says what is wrong, with exit code 2", [], () =>
    Effect.gen(function*() {
      const cwd = yield* site
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
        [[], /whose\? --guest NAME; .*agent\.yaml has: web, mail/],
        [["--guest", "wbe"], /there is no guest 'wbe' .*did you mean 'web'/],
        [["--guest", "web", "--list", "--revoke"], /--list and --revoke at once/],
        [["--guest", "web", "--expires", "soon"], /'soon' is no time; expected one such as 90d/],
        [["--guest", "web", "--expires", "0s"], /a token must live for some time/],
        [["--guest", "web", "--list", "--expires", "1d"], /--expires is for a new token/],
        [["--config", "no.yaml"], /there is no file .*no\.yaml/]
      ]
      for (const [argv, message] of cases) {
        const { status, stderr, stdout } = call(cwd, "agent", "token", ...argv)
        assert.deepStrictEqual([status, stdout], [2, ""], argv.join(" "))
        assert.match(stderr, message)
      }
    }))
})

describe("quiesce agent", () => {
  live(
    "serves until a signal; a second one in the same state directory is refused",
    ["tar", "zstd"],
    () =>
      Effect.gen(function*() {
        const cwd = yield* site
        const agent = yield* serving(cwd)
        assert.strictEqual(statSync(join(cwd, "sockets", "web.sock")).mode & 0o777, 0o600)
        const second = call(cwd, "agent")
        assert.deepStrictEqual([second.status, second.stdout], [5, ""])
        assert.match(second.stderr, /another agent uses the state directory/)
        writeFileSync(
          join(cwd, "quiesce.yaml"),
          "version: 1\nstateDir: ./state\nstacks:\n  a:\n    command:\n      stop: [touch, stopped]\n"
            + "      start: [rm, -f, stopped]\n      status: [sh, -c, \"test -e stopped && exit 3; exit 0\"]\n"
            + "agent: { http: { socket: ./sockets/web.sock } }\n"
        )
        const run = call(cwd, "run")
        assert.strictEqual(run.status, 0, run.stderr)
        assert.match(run.stdout, /^result: +ok\nconsistency: +application\nread from: +a copy that was made first\n/)
        agent.signal("SIGTERM")
        const { code, stdout } = yield* agent.ended
        assert.strictEqual(code, 143)
        const said = JSON.parse(stdout)
        assert.deepStrictEqual(said.guests, ["web", "mail"])
        assert.deepStrictEqual(said.withoutToken, [], "over its socket a guest needs none")
      })
  )

  live("refuses what it cannot serve, with exit code 7", [], () =>
    Effect.gen(function*() {
      const cwd = yield* site
      writeFileSync(
        join(cwd, "tls.yaml"),
        readFileSync(join(cwd, "agent.yaml"), "utf8") +
          "listen: { host: 127.0.0.1, certificate: ./c.pem, key: ./k.pem }\n"
      )
      const missing = call(cwd, "agent", "--config", "tls.yaml")
      assert.strictEqual(missing.status, 7)
      assert.match(missing.stderr, /c\.pem: /)
      mkdirSync(join(cwd, "agent"), { recursive: true })
      chmodSync(join(cwd, "agent"), 0o777)
      const open = call(cwd, "agent")
      assert.strictEqual(open.status, 7)
      assert.match(open.stderr, /others/)
    }))
})

describe("the token of a guest", () => {
  live("a file that others can read is refused, nothing is touched", [], () =>
    Effect.gen(function*() {
      const cwd = yield* site
      writeFileSync(join(cwd, "token"), "web~secret-that-nobody-may-see\n", { mode: 0o644 })
      writeFileSync(
        join(cwd, "quiesce.yaml"),
        "version: 1\nstateDir: ./state\nstacks: { a: { command: { stop: [touch, stopped], start: [\"true\"], status: [\"true\"] } } }\n"
          + "agent: { http: { url: 'https://127.0.0.1:1', tokenFile: ./token } }\n"
      )
      const refused = call(cwd, "run")
      assert.strictEqual(refused.status, 7)
      assert.match(refused.stdout, /token.*chmod 600/)
      assert.notInclude(refused.stdout + refused.stderr, "nobody-may-see")
      chmodSync(join(cwd, "token"), 0o600)
      writeFileSync(join(cwd, "token"), "two words\n")
      assert.match(call(cwd, "run").stdout, /expected one line with the token and nothing else/)
      // a recovery needs no agent
      rmSync(join(cwd, "token"))
      assert.strictEqual(call(cwd, "recover").status, 0)
    }))
})
