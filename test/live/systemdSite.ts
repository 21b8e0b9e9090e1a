/**
 * A machine with systemd, the units that are shipped, and an app of its own that only root may start and stop.
 *
 * The units run without root, so the app is asked over a socket that their group may open, as that of Docker is.
 */
import { Effect, Schedule } from "effect"
import * as assert from "node:assert/strict"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Machine from "../lab/systemd/machine.ts"
import { LabError } from "../lab/postgresInstall.ts"
import { bin } from "./quiesce.ts"

export const unitFiles = Fs.readdirSync("systemd").filter((name) => /\.(service|timer)$/.test(name))

const app = `[Unit]
Description=The app
[Service]
ExecStart=/bin/sh -c 'echo up >>/srv/log; exec sleep infinity'
ExecStopPost=/bin/sh -c 'echo down >>/srv/log'
`

/** What is named in a unit that is up stays loaded, with the result of its end. */
const socket = `[Unit]
Before=${unitFiles.join(" ")}
[Socket]
ListenStream=/run/app.sock
SocketMode=0660
SocketGroup=docker
Accept=yes
[Install]
WantedBy=sockets.target
`

const control = `[Service]
StandardInput=socket
ExecStart=/bin/sh -c 'read word; case $word in start|stop) systemctl $word app.service ;; esac; echo $?'
`

/** The client. What is meant for the unit alone must not reach it: an app that speaks sd_notify would end the unit. */
const client = `#!/usr/local/bin/node
const leaked = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"].filter((name) => name in process.env)
if (leaked.length > 0) throw new Error("the app was given " + leaked)
let answer = ""
require("node:net").connect("/run/app.sock", function() { this.write(process.argv[2] + "\\n") })
  .on("data", (data) => answer += data)
  .on("close", () => process.exit(answer.trim() === "0" ? 0 : 1))
`

const config = `version: 1
limits: { steadyTime: 100ms, resumeTimeout: 20s }
stacks:
  notes:
    command:
      stop: [app, stop]
      start: [app, start]
      status: [systemctl, is-active, --quiet, app.service]
agent:
  local:
    source: /srv/data
    snapshot: none
    transfer: { command: [sh, -c, "while test -e /srv/hold; do sleep 0.05; done; test -r \\"$1\\"", sh, "{snapshot}"] }
watch: { schedule: 30 3 1 1 *, timeZone: UTC }
`

const agent = `version: 1
sockets: /var/lib/quiesce-agent/sockets
guests:
  web: { local: { source: /srv/data, snapshot: copy, transfer: { archive: { to: /var/lib/quiesce-agent/archives } } } }
`

/** Loaded into a process by NODE_OPTIONS: `watch` eats memory once it is told to, and begins once it may. */
const preload = `const { existsSync } = require("node:fs")
if (process.argv.includes("watch")) {
  while (existsSync("/srv/wait")) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
  const eaten = []
  setInterval(() => {
    while (existsSync("/srv/eat")) eaten.push(Buffer.alloc(8_000_000, 1))
  }, 20).unref()
}
`

/** Both sides of an agent in two read it. */
const divided = `version: 1
sockets: /var/lib/quiesce-agent/sockets
engineSocket: /run/quiesce-agent/engine.sock
engineGroup: quiesce-agent
guests:
  web: { local: { source: /srv/data, snapshot: copy, transfer: { archive: { to: /var/lib/quiesce-agent-engine/archives } } } }
`

/** A guest of that agent. */
const guest = config.replace("version: 1\n", "version: 1\nstateDir: /srv/guest\n").replace(
  /^agent:$.*?^(?=watch:)/ms,
  "agent: { http: { socket: /var/lib/quiesce-agent/sockets/web.sock } }\n"
)

const files: Readonly<Record<string, string>> = {
  "etc/systemd/system/app.service": app,
  "etc/systemd/system/app-control.socket": socket,
  "etc/systemd/system/app-control@.service": control,
  "etc/quiesce/quiesce.yaml": config,
  "etc/quiesce/agent.yaml": agent,
  "etc/quiesce/divided.yaml": divided,
  "etc/quiesce/guest.yaml": guest,
  "srv/preload.cjs": preload,
  "srv/data/file": "data",
  "srv/log": ""
}

const prepare = (at: Machine.Machine["at"]) => {
  for (const [path, text] of Object.entries(files)) {
    Fs.mkdirSync(Path.dirname(at(path)), { recursive: true })
    Fs.writeFileSync(at(path), text)
  }
  Fs.mkdirSync(at("usr/local/bin"), { recursive: true })
  Fs.writeFileSync(at("usr/local/bin/app"), client, { mode: 0o755 })
  Fs.mkdirSync(at("etc/systemd/system/sockets.target.wants"))
  Fs.symlinkSync("../app-control.socket", at("etc/systemd/system/sockets.target.wants/app-control.socket"))
  for (const name of unitFiles) Fs.copyFileSync(Path.join("systemd", name), at(`etc/systemd/system/${name}`))
  Fs.mkdirSync(at("usr/lib/sysusers.d"), { recursive: true })
  Fs.copyFileSync("systemd/sysusers.conf", at("usr/lib/sysusers.d/quiesce.conf"))
}

export interface Site extends Machine.Machine {
  /** What the app has done: `up`, `down`, ... */
  readonly log: () => ReadonlyArray<string>
  readonly markers: () => ReadonlyArray<string>
  /** An empty file in `/srv`, there or not. */
  readonly flag: (name: "hold" | "eat" | "wait", there: boolean) => void
  /** Lines for the unit beside those of its file. */
  readonly dropIn: (unit: string, lines: string) => Effect.Effect<void, LabError>
  /** Waits until it is so; fails with what the units have said. */
  readonly until: (what: string, test: Effect.Effect<boolean, LabError>) => Effect.Effect<void, LabError>
  /** Starts the app anew, with no past, no drop-ins, and nothing of quiesce running. */
  readonly fresh: Effect.Effect<void, LabError>
  /** Starts the unit, and returns when its run holds the app down. */
  readonly held: (unit: string) => Effect.Effect<void, LabError>
  /** Waits until the app is up after a hold, and checks that it came up once, and that nothing is left to do. */
  readonly isBack: Effect.Effect<void, LabError>
}

const listing = (path: string) => Fs.existsSync(path) ? Fs.readdirSync(path) : []

export const watch = "quiesce-watch.service"

export const make = Effect.fn("SystemdSite.make")(function*() {
  const machine = yield* Machine.make({
    binds: { [process.execPath]: "/usr/local/bin/node", [bin]: "/usr/local/bin/quiesce" },
    prepare
  })
  yield* machine.booted
  const { at, call, journal, show } = machine
  const log = () => Fs.readFileSync(at("srv/log"), "utf8").split("\n").filter(Boolean)
  const markers = () => listing(at("var/lib/quiesce/markers"))
  const flag: Site["flag"] = (name, there) =>
    there ? Fs.writeFileSync(at(`srv/${name}`), "") : Fs.rmSync(at(`srv/${name}`), { force: true })
  const dropIns = (unit: string) => at(`etc/systemd/system/${unit}.d`)
  const dropIn: Site["dropIn"] = (unit, lines) =>
    Effect.suspend(() => {
      Fs.mkdirSync(dropIns(unit), { recursive: true })
      Fs.writeFileSync(Path.join(dropIns(unit), `${listing(dropIns(unit)).length}.conf`), `[Service]\n${lines}\n`)
      return call("systemctl", "daemon-reload")
    })
  const until: Site["until"] = (what, test) =>
    Effect.repeat(test, { until: (is) => is, schedule: Schedule.spaced("50 millis") }).pipe(
      Effect.timeoutOption("60 seconds"),
      Effect.flatMap((done) =>
        done._tag === "Some"
          ? Effect.void
          : Effect.flatMap(journal(), (text) => new LabError({ message: `never: ${what}\n${text}` }))
      )
    )
  const file = at("var/lib/quiesce/watch.json")
  const plan = () => JSON.parse(Fs.readFileSync(file, "utf8"))

  const fresh = Effect.gen(function*() {
    for (const name of ["hold", "eat", "wait"] as const) flag(name, false)
    const services = unitFiles.filter((name) => name.endsWith(".service"))
    yield* call("systemctl", "stop", ...unitFiles)
    yield* machine.ask("systemctl", "reset-failed", ...services)
    for (const name of services) Fs.rmSync(dropIns(name), { recursive: true, force: true })
    yield* call("systemctl", "daemon-reload")
    yield* call("systemctl", "restart", "app.service")
    yield* until("the app is up", Effect.map(show("app.service", "ActiveState"), (state) => state === "active"))
    assert.deepEqual(markers(), [])
    Fs.writeFileSync(at("srv/log"), "up\n")
  })
  const isHeld = Effect.sync(() => log().at(-1) === "down" && markers().length > 0)
  let memory: string | undefined
  /** A daemon that has a run to do at its start: its due time was missed. It has not died in it yet. */
  const missed = Effect.gen(function*() {
    if (memory === undefined) {
      yield* call("systemctl", "start", watch)
      yield* until("it has a plan", Effect.sync(() => Fs.existsSync(file) && plan().next !== null))
      yield* call("systemctl", "stop", watch)
      memory = JSON.stringify({ ...plan(), settledUntil: "2020-01-01T00:00:00.000Z", next: null })
    }
    Fs.writeFileSync(file, memory)
  })
  const held: Site["held"] = Effect.fnUntraced(function*(unit) {
    if (unit === watch) yield* missed
    flag("hold", true)
    yield* call("systemctl", "start", "--no-block", unit)
    yield* until(`${unit} holds the app down`, isHeld)
  })
  const isBack = Effect.gen(function*() {
    yield* until(
      "the app is back, and no marker is left",
      Effect.sync(() => log().at(-1) === "up" && markers().length === 0)
    )
    assert.equal(yield* show("app.service", "ActiveState"), "active")
    assert.deepEqual(log(), ["up", "down", "up"])
  })
  const site: Site = { ...machine, log, markers, flag, dropIn, until, fresh, held, isBack }
  return site
})
