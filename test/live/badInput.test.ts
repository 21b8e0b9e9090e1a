/**
 * What a user can get wrong: one clear message with the way out, the right exit code, and the app is not touched.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { sh, tmpfs } from "../lab/loopfs.ts"
import { live, type Need } from "../support/live.ts"
import * as Quiesce from "./quiesce.ts"
import * as Site from "./site.ts"
import * as Traces from "./traces.ts"

const needs = ["postgres", "flock", "tar", "zstd"] as const
const site = Site.shared(needs)

const startedAt = (here: Site.Site) => here.server.query("select pg_postmaster_start_time()::text as at")

/** What went wrong, as a script reads it. */
const messageOf = ({ report, stderr }: Quiesce.Ended) => report?.error ?? stderr

interface Wrong {
  readonly options?: Site.ProjectOptions
  /** Changes the text of the configuration. */
  readonly edit?: (text: string) => string
  readonly words?: ReadonlyArray<string>
  readonly run?: Quiesce.Options
}

/** A run that must refuse, and must not have touched anything. */
const refuses = Effect.fnUntraced(function*(name: string, wrong: Wrong, code: number, message: RegExp) {
  const here = yield* site
  const project = yield* Site.project(here, name, wrong.options)
  if (wrong.edit !== undefined) {
    Fs.writeFileSync(project.config, wrong.edit(Fs.readFileSync(project.config, "utf8")))
  }
  const before = yield* startedAt(here)
  const ended = yield* project.quiesce(["run", "--json", ...wrong.words ?? []], wrong.run)
  assert.strictEqual(ended.code, code, messageOf(ended))
  assert.match(messageOf(ended), message)
  // said once: by the report, or where there is none, on stderr
  if (ended.report !== undefined) {
    assert.strictEqual(ended.stderr, "")
    assert.deepInclude(ended.report, { outcome: "refused", exitCode: 7, artifact: null })
  } else assert.strictEqual(ended.stdout, "")
  assert.deepStrictEqual(yield* startedAt(here), before)
  assert.deepStrictEqual(Traces.everything(project), [])
  assert.isFalse(Fs.existsSync(project.backups))
  return { ended, project }
})

describe("the configuration", () => {
  const cases: Readonly<Record<string, readonly [(text: string) => string, RegExp]>> = {
    "an unknown key": [
      (text) => text.replace("stacks:", "maxDowntme: 5s\nstacks:"),
      /quiesce\.yaml:\d+:1: maxDowntme: unknown key; did you mean 'maxDowntime'\?/
    ],
    "a command that is one text": [
      (text) => text.replace(/stop:\n(?: +- .*\n)+/, "stop: pg_ctl stop\n"),
      /quiesce\.yaml:\d+:13: stacks\.notes\.command\.stop: expected a list of words/
    ],
    "a number where a duration belongs": [
      (text) => text.replace("stopTimeout: 20s", "stopTimeout: 20"),
      /quiesce\.yaml:\d+:18: stacks\.notes\.stopTimeout: expected a duration such as/
    ],
    "no YAML": [(text) => `${text}\n  - [`, /quiesce\.yaml:\d+:\d+: /],
    "archives inside the source": [
      (text) => text.replace(/to: .*/, `to: ${/source: (.*)/.exec(text)?.[1]}/backups`),
      /quiesce\.yaml:\d+:\d+: agent\.local\.transfer\.archive\.to: expected a directory outside/
    ]
  }
  for (const [name, [edit, message]] of Object.entries(cases)) {
    live(`with ${name}: 2, and its place`, needs, () => refuses(name, { edit }, 2, message))
  }

  live("that is not there: 2", [], () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* Quiesce.run(["run", "--config", "/nowhere/quiesce.yaml"])
      assert.deepStrictEqual([code, stdout], [2, ""])
      assert.match(stderr, /\/nowhere\/quiesce\.yaml/)
    }))

  live("that this user may not read: 2", ["root", ...needs], () =>
    Effect.gen(function*() {
      const here = yield* site
      const { config } = yield* Site.project(here, "closed")
      Fs.chmodSync(config, 0o600)
      yield* refuses("closed", { run: { uid: 65534 } }, 2, /it cannot be read: permission denied; give this user/)
    }))

  live(
    "without the stack that is asked for: 2, and those that there are",
    needs,
    () =>
      refuses(
        "no stack",
        { words: ["--stack", "note"] },
        2,
        /there is no stack 'note' in .*which has: notes; did you mean 'notes'\?/
      )
  )
})

describe("the source", () => {
  live(
    "that is not there: 7",
    needs,
    () => refuses("no source", { options: { source: "/nowhere/data" } }, 7, /\/nowhere\/data.*does not exist/)
  )

  live(
    "that is a file: 7",
    needs,
    () => refuses("a file", { options: { source: "/etc/passwd" } }, 7, /\/etc\/passwd.*not a directory/)
  )

  live("that this user may not read: 7", ["root", ...needs], () =>
    Effect.gen(function*() {
      const here = yield* site
      const source = Path.join(here.work, "private data")
      Fs.mkdirSync(source, { mode: 0o700 })
      const stateDir = Path.join(here.work, "state of nobody")
      Fs.mkdirSync(stateDir, { mode: 0o700 })
      Fs.chownSync(stateDir, 65534, 65534)
      yield* refuses(
        "private",
        { options: { source, stateDir, command: { status: ["true"] } }, run: { uid: 65534 } },
        7,
        /private.*permission denied/
      )
    }))

  live("with no space for its copy: 7, and how much is needed", ["root", ...needs], () =>
    Effect.gen(function*() {
      const disk = yield* tmpfs(8)
      const source = Path.join(disk, "data")
      Fs.mkdirSync(source)
      Fs.writeFileSync(Path.join(source, "big"), Buffer.alloc(5e6))
      yield* refuses("no space", { options: { source } }, 7, /a copy of .* needs 4\.8 MiB, and 3\.2 MiB are free/)
    }))
})

const tools = [
  "sh",
  "mv",
  "sleep",
  "setpriv",
  "cp",
  "rm",
  "du",
  "find",
  "sync",
  "tar",
  "zstd",
  "flock",
  "chmod"
] as const

/** A PATH with the tools that a run needs, but for one. */
const without = (missing: string) =>
  Effect.gen(function*() {
    const here = yield* site
    const directory = Path.join(here.work, `without ${missing}`)
    Fs.mkdirSync(directory)
    for (const tool of tools.filter((tool) => tool !== missing)) {
      Fs.symlinkSync((yield* sh(["sh", "-c", "command -v \"$1\"", "sh", tool])).trim(), Path.join(directory, tool))
    }
    return directory
  })

describe("a machine", () => {
  for (const tool of ["tar", "zstd", "flock", "cp", "du", "rm", "sh", "sync"]) {
    live(`without ${tool}: 7, and the tool's name`, needs, () =>
      Effect.gen(function*() {
        const path = yield* without(tool)
        yield* refuses(`no ${tool}`, { run: { path } }, 7, new RegExp(`'${tool}' was not found`))
      }))
  }

  live("without the program that the transfer is: 7", needs, () =>
    refuses(
      "no transfer",
      { options: { transfer: { command: ["resticc", "backup", "{snapshot}"] } } },
      7,
      /'resticc' was not found in PATH: install it, or give its whole path/
    ))

  for (const command of ["start", "stop"] as const) {
    live(`without the program of the ${command} command: 7, before anything is stopped`, needs, () =>
      refuses(
        `no ${command}`,
        { options: { raw: { [command]: ["pg_ctll", command] } } },
        7,
        new RegExp(`its ${command} command 'pg_ctll' was not found, or is not executable; give it as an absolute path`)
      ))
  }

  live(
    "without the program that tells the state: 7",
    needs,
    () =>
      refuses(
        "no status",
        { options: { raw: { status: ["./pg_ctll"] } } },
        7,
        /could not inspect stack 'notes': '\.\/pg_ctll' was not found/
      )
  )
})

describe("the state directory", () => {
  const root: ReadonlyArray<Need> = ["root", ...needs]
  const at = (name: string) => Effect.map(site, ({ work }) => Path.join(work, `state ${name}`))

  live("that others can write: 7", needs, () =>
    Effect.gen(function*() {
      const stateDir = yield* at("open")
      Fs.mkdirSync(stateDir)
      Fs.chmodSync(stateDir, 0o777)
      yield* refuses("open", { options: { stateDir } }, 7, /others can write it \(mode 777\).*chmod 700 /)
    }))

  live("that is a symbolic link: 7", needs, () =>
    Effect.gen(function*() {
      const stateDir = yield* at("link")
      Fs.symlinkSync("/tmp", stateDir)
      yield* refuses("link", { options: { stateDir } }, 7, /it is a symbolic link; set stateDir to where it points/)
    }))

  live(
    "whose markers are a symbolic link: 7, and what it points to is not written",
    needs,
    () =>
      Effect.gen(function*() {
        const stateDir = yield* at("planted")
        const victim = yield* at("victim")
        Fs.mkdirSync(stateDir, { mode: 0o700 })
        Fs.mkdirSync(victim)
        Fs.symlinkSync(victim, Path.join(stateDir, "markers"))
        const here = yield* site
        const project = yield* Site.project(here, "planted", { stateDir })
        const before = yield* startedAt(here)
        const ended = yield* project.quiesce(["run", "--json"])
        assert.strictEqual(ended.code, 7)
        assert.match(messageOf(ended), /markers is not safe: it is a symbolic link/)
        assert.deepStrictEqual(yield* startedAt(here), before)
        assert.deepStrictEqual(Fs.readdirSync(victim), [])
      })
  )

  live("that is a file: 7", needs, () =>
    Effect.gen(function*() {
      const stateDir = yield* at("file")
      Fs.writeFileSync(stateDir, "")
      yield* refuses("a state file", { options: { stateDir } }, 7, /it is not a directory; remove it, or set another/)
    }))

  live("of another user: 7", root, () =>
    Effect.gen(function*() {
      const stateDir = yield* at("foreign")
      Fs.mkdirSync(stateDir, { mode: 0o755 })
      yield* refuses(
        "foreign",
        { options: { stateDir }, run: { uid: 65534 } },
        7,
        /belongs to user 0 and we are user 65534/
      )
    }))

  live("that cannot be made: 7", root, () =>
    Effect.gen(function*() {
      const stateDir = Path.join(yield* at("closed"), "below")
      Fs.mkdirSync(Path.dirname(stateDir), { mode: 0o755 })
      yield* refuses(
        "cannot be made",
        { options: { stateDir }, run: { uid: 65534 } },
        7,
        /permission denied; run as its owner/
      )
    }))

  live("on a read-only file system: 7", root, () =>
    Effect.gen(function*() {
      const disk = yield* tmpfs(4)
      const stateDir = Path.join(disk, "state")
      Fs.mkdirSync(stateDir, { mode: 0o700 })
      yield* sh(["mount", "-o", "remount,ro", disk])
      yield* refuses("read-only", { options: { stateDir } }, 7, /read-only; remount it writable, or set another/)
    }))

  live("on a full file system: 7", root, () =>
    Effect.gen(function*() {
      const disk = yield* tmpfs(1)
      const stateDir = Path.join(disk, "state")
      Fs.mkdirSync(stateDir, { mode: 0o700 })
      yield* Effect.ignore(sh(["dd", "if=/dev/zero", `of=${disk}/filler`, "bs=4k"]))
      yield* refuses("full", { options: { stateDir } }, 7, /no space is left on its file system; free some/)
    }))
})
