/**
 * The shipped units as systemd reads them, and how much of the machine they could reach: `systemd-analyze security` scores
 * a unit from 0 (none) to 10 (all). No systemd needs to run for it.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { live } from "../support/live.ts"

/**
 * What each may score, and how many of the ways out that the tool knows are closed at least. The score is a rounded one,
 * and cannot see every line; a newer tool knows more ways out, never fewer.
 */
const limits = {
  "quiesce.service": { score: 1.1, closed: 72 },
  "quiesce-recover.service": { score: 1.1, closed: 72 },
  "quiesce-watch.service": { score: 1.3, closed: 71 },
  "quiesce-agent.service": { score: 1.3, closed: 72 },
  "quiesce-agent-engine.service": { score: 2.5, closed: 61 }
} as const
type Unit = keyof typeof limits

const units = Object.keys(limits) as ReadonlyArray<Unit>
const read = (unit: string) => Fs.readFileSync(Path.join("systemd", unit), "utf8")

const directory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(tmpdir(), "quiesce-units-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

const analyze = (...words: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync("systemd-analyze", ["--no-pager", ...words], {
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, LC_ALL: "C.UTF-8" }
  })
  return { status, output: `${stdout}${stderr}` }
}

/** How many ways out the text closes, and whether it passes as this unit. */
const judge = (path: string, unit: Unit, text: string) => {
  const file = Path.join(path, unit)
  Fs.writeFileSync(file, text)
  const { closed, score } = limits[unit]
  const { output, status } = analyze(
    "security",
    "--offline=true",
    "--json=short",
    `--threshold=${Math.round(score * 10)}`,
    file
  )
  const rows: ReadonlyArray<{ readonly set: boolean | null }> = JSON.parse(output)
  const found = rows.filter(({ set }) => set === true).length
  return { found, passes: status === 0 && found >= closed }
}

/** Lines of the cage that the tool does not look at, that another line says too, or that count as a way out as well. */
const unseen = new Set(["ProtectClock", "AmbientCapabilities", "DevicePolicy", "LimitCORE", "SystemCallErrorNumber"])

/** The lines below the comment that begins the cage. */
const cageOf = (text: string) => {
  const lines = text.split("\n")
  const begin = lines.findIndex((line) => /^# (It needs nothing|What a backup needs)/.test(line))
  assert.isAbove(begin, 0)
  return lines.slice(begin + 1, lines.indexOf("", begin)).filter((line) => !unseen.has(line.split("=")[0] ?? ""))
}

describe("the units", () => {
  live("all are known here", [], () =>
    Effect.sync(() => {
      const there = Fs.readdirSync("systemd").filter((name) => name.endsWith(".service"))
      assert.sameMembers(there, [...units])
    }))

  live("systemd understands every line", ["systemdAnalyze"], () =>
    Effect.gen(function*() {
      const path = yield* directory
      const names = Fs.readdirSync("systemd").filter((name) => /\.(service|timer)$/.test(name))
      // the program is not installed here
      for (const name of names) {
        Fs.writeFileSync(Path.join(path, name), read(name).replaceAll(/^(Exec\w+=)\S+/gm, "$1/bin/true"))
      }
      const files = names.map((name) => Path.join(path, name))
      assert.deepStrictEqual(analyze("verify", "--recursive-errors=no", ...files), { status: 0, output: "" })
      // the drop-ins too, as what their lines make of a unit
      const dropIns = [["root.conf", "quiesce-watch.service"], ["vzdump.conf", "quiesce-agent-engine.service"]] as const
      for (const [dropIn, unit] of dropIns) {
        Fs.appendFileSync(Path.join(path, unit), read(dropIn))
        assert.deepStrictEqual(
          analyze("verify", "--recursive-errors=no", Path.join(path, unit)),
          { status: 0, output: "" },
          dropIn
        )
      }
      Fs.appendFileSync(Path.join(path, "quiesce.service"), "[Service]\nProtectEverything=yes\n")
      assert.notStrictEqual(
        analyze("verify", "--recursive-errors=no", Path.join(path, "quiesce.service")).output,
        ""
      )
    }))

  for (const unit of units) {
    live(
      `${unit} scores ${limits[unit].score} at most; without one line of its cage, or as root, it does not pass`,
      ["systemdAnalyze"],
      () =>
        Effect.gen(function*() {
          const path = yield* directory
          const text = read(unit)
          const { found, passes } = judge(path, unit, text)
          assert.isTrue(passes, `${found} ways out are closed`)
          const root = text.replace(/^User=(?!root).*$/m, "User=root")
          if (root !== text) assert.isFalse(judge(path, unit, root).passes, "as root")
          const cage = cageOf(text)
          assert.isAbove(cage.length, 15)
          for (const line of cage) assert.isFalse(judge(path, unit, text.replace(`${line}\n`, "")).passes, line)
        })
    )
  }
})
