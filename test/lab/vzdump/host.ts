/**
 * A directory that looks like a Proxmox VE host to the engine, with the vzdump of `vzdump.mjs`.
 */
import { Effect, type Scope } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import type { VzdumpHost } from "../../../src/internal/vzdump/host.ts"
import { eventually } from "../../layers/fixtures/support.ts"

export const samples = new URL("../../data/vzdump", import.meta.url).pathname

export interface Answer {
  readonly guestType: "lxc" | "qemu" | null
  readonly vmid: number | null
  readonly requestedMode: string
  readonly effectiveMode: string | null
  readonly snapshottedAtLine: number | null
  readonly pointInTimeFixedAtLine: number | null
  readonly outcome: "done" | "failed"
  readonly error: string | null
}

/** The names of all samples. */
export const sampleNames: ReadonlyArray<string> = Fs.readdirSync(samples).filter((name) => name.endsWith(".log"))
  .map((name) => name.slice(0, -".log".length)).sort()

export const answerOf = (name: string): Answer =>
  JSON.parse(Fs.readFileSync(Path.join(samples, `${name}.json`), "utf8"))

/** See vzdump.mjs. */
export interface Control {
  readonly log?: string
  readonly delay?: number
  readonly holdBefore?: ReadonlyArray<string>
  readonly atPoint?: string
  readonly minute?: number
  readonly deaf?: boolean
  readonly stamps?: boolean
  /** The worker is killed before it can write the line with this text. */
  readonly lastWords?: string
}

export interface Call {
  readonly what: "called" | "started" | "ended" | "hook" | "point" | "line"
  readonly pid: number
  readonly argv?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  readonly upid?: string
  readonly code?: number
  readonly phase?: string
  readonly status?: number
  readonly at?: number
  readonly cwd?: string
  readonly stdin?: string
}

export interface LabHost {
  readonly root: string
  readonly paths: VzdumpHost
  readonly stateDir: string
  readonly control: (control: Control) => void
  readonly calls: () => ReadonlyArray<Call>
  readonly callsOf: (what: Call["what"]) => ReadonlyArray<Call>
  /** Lets it go on at a hold. */
  readonly go: (hold?: number) => void
  readonly guest: (type: "lxc" | "qemu", vmid: number, text?: string) => void
  readonly guestText: (type: "lxc" | "qemu", vmid: number) => string
}

const places = { lxc: "lxc", qemu: "qemu-server" }

/** A host with the guests 100 (a container) and 200 (a machine). At its end nothing of it runs any more. */
export const labHost: Effect.Effect<LabHost, never, Scope.Scope> = Effect.gen(function*() {
  const root = Fs.mkdtempSync(Path.join(Os.tmpdir(), "quiesce-vzdump-"))
  const at = (...names: ReadonlyArray<string>) => Path.join(root, ...names)
  for (const name of ["bin", "run", "tasks", "etc-pve/lxc", "etc-pve/qemu-server", "state"]) {
    Fs.mkdirSync(at(name), { recursive: true, mode: 0o700 })
  }
  const program = new URL("vzdump.mjs", import.meta.url).pathname
  Fs.writeFileSync(at("bin/vzdump"), `#!/bin/sh\nexec '${process.execPath}' '${program}' '${root}' "$@"\n`, {
    mode: 0o755
  })
  const callsOf = (what: Call["what"]) => calls().filter((call) => call.what === what)
  // the last line may not be whole yet
  const calls = (): ReadonlyArray<Call> =>
    Fs.existsSync(at("calls.jsonl"))
      ? Fs.readFileSync(at("calls.jsonl"), "utf8").split("\n").slice(0, -1).map((line) => JSON.parse(line))
      : []
  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      yield* Effect.sync(() => endAll(root))
      yield* eventually("all of the host have ended", () => pidsOf(root).length === 0)
      yield* Effect.sync(() => Fs.rmSync(root, { recursive: true, force: true, maxRetries: 5 }))
    })
  )
  const host: LabHost = {
    root,
    paths: {
      vzdump: at("bin/vzdump"),
      lockFile: at("run/vzdump.lock"),
      pidFile: at("run/vzdump.pid"),
      tasksDir: at("tasks"),
      guestConfigDir: at("etc-pve")
    },
    stateDir: at("state"),
    control: (control) => Fs.writeFileSync(at("control.json"), JSON.stringify({ samples, ...control })),
    calls,
    callsOf,
    go: (hold = 0) => Fs.writeFileSync(at(`go-${hold}`), ""),
    guest: (type, vmid, text = "") => Fs.writeFileSync(at("etc-pve", places[type], `${vmid}.conf`), text),
    guestText: (type, vmid) => Fs.readFileSync(at("etc-pve", places[type], `${vmid}.conf`), "utf8")
  }
  host.control({})
  host.guest("lxc", 100, "hostname: app\nrootfs: local:100/vm-100-disk-0.raw,size=1G\n")
  host.guest("qemu", 200, "name: web\nscsi0: local:200/vm-200-disk-0.raw\n")
  return host
})

/** The processes that were started for this host: its directory is a word of theirs. */
export const pidsOf = (root: string): ReadonlyArray<number> =>
  Fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      return pid !== process.pid && Fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(root)
    } catch {
      return false
    }
  })

const endAll = (root: string) => {
  for (const pid of pidsOf(root)) {
    try {
      process.kill(pid, "SIGKILL")
    } catch {
      // it has ended
    }
  }
}
