/**
 * A divided agent, the front as nobody and the engine's side as root, on a host of which only the vzdump is not real.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { workDirectory } from "../lab/loopfs.ts"
import { labHost } from "../lab/vzdump/host.ts"
import * as AgentSite from "./agentSite.ts"

export const needs = ["root", "flock"] as const

/** A guest whose backups vzdump takes. At the point in time its data is copied as it is. */
export const withVzdump = Effect.gen(function*() {
  const host = yield* labHost
  const program = yield* AgentSite.bundle("agentHostProcess", yield* workDirectory)
  const site = yield* AgentSite.make({
    guests: [{ vzdump: { vmid: 100, storage: "backup" }, watch: { requests: true } }],
    host: { program, paths: host.paths },
    isDivided: true
  })
  const guest = AgentSite.only(site)
  const copy = Path.join(host.root, "copy")
  return {
    site,
    guest,
    host,
    copied: () => Fs.readFileSync(Path.join(copy, "state"), "utf8").trim(),
    atPoint: `rm -rf '${copy}'; cp -a '${guest.source}' '${copy}'`
  }
})

/** What `/proc/PID/status` says. */
export const statusOf = (pid: number): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Fs.readFileSync(`/proc/${pid}/status`, "utf8").split("\n").map((line) => line.split(":\t"))
      .map(([key = "", value = ""]) => [key, value.trim()])
  )

/** The TCP sockets that a process has open. */
export const tcpOf = (pid: number): ReadonlyArray<string> => {
  const inodes = new Set(
    ["tcp", "tcp6"].flatMap((file) =>
      Fs.readFileSync(`/proc/net/${file}`, "utf8").split("\n").slice(1).map((line) => line.trim().split(/\s+/)[9])
    )
  )
  return Fs.readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return Fs.readlinkSync(`/proc/${pid}/fd/${fd}`)
    } catch {
      return ""
    }
  }).filter((target) => {
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
    return inode !== undefined && inodes.has(inode)
  })
}

/** What becomes of shell text as another user, without any group but the one of its own number. */
export const as = (uid: number, text: string): string => {
  const { status, stderr, stdout } = ChildProcess.spawnSync(
    "setpriv",
    [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "sh", "-c", text],
    { encoding: "utf8", cwd: "/" }
  )
  return `${status} ${stdout}${stderr}`
}

/** Sends a line to a socket as another user, and answers with what comes, or with the name of the error. */
export const sayAs = (uid: number, socket: string, line: string): string =>
  as(
    uid,
    `exec '${process.execPath}' -e '
      const c = require("net").connect(process.argv[1], () => c.write(process.argv[2] + "\\n"))
      c.on("data", (d) => process.stdout.write(d)); c.on("error", (e) => console.log(e.code)); c.on("end", () => c.end())
    ' '${socket}' '${line}'`
  )

/** The front is nobody and has no power, the other side is on no network, and neither can write what the other believes. */
export const isApart = (site: AgentSite.Site) => {
  const front = site.agent().pid
  const engine = site.engine().pid
  for (const key of ["Uid", "Gid"]) {
    assert.deepStrictEqual(statusOf(front)[key]?.split("\t"), Array.from({ length: 4 }, () => "65534"))
  }
  assert.match(statusOf(front)["CapEff"] ?? "", /^0+$/)
  assert.match(statusOf(front)["CapPrm"] ?? "", /^0+$/)
  assert.strictEqual(statusOf(engine)["Uid"]?.split("\t")[0], "0")
  assert.isAbove(tcpOf(front).length, 0)
  assert.deepStrictEqual(tcpOf(engine), [])
  const [root, socket] = [Path.dirname(site.config), Path.join(Path.dirname(site.config), "run", "engine.sock")]
  const { gid, mode, uid } = Fs.statSync(socket)
  assert.deepStrictEqual([uid, gid, mode & 0o777], [0, 65534, 0o660])
  for (const path of [site.config, root, Path.dirname(socket), Path.join(root, "engine")]) {
    assert.match(as(65534, `test -w '${path}' || echo closed`), /closed/, path)
  }
  assert.match(as(65534, `ls '${Path.join(root, "engine")}'`), /Permission denied/)
  assert.match(as(65534, `mv '${socket}' '${socket}.old'; rm -f '${socket}'`), /Permission denied/)
  const preflight = "{\"_tag\":\"Preflight\",\"version\":1,\"guest\":\"web\"}"
  assert.match(sayAs(65534, socket, preflight), /"_tag":"Offer"/)
  // as somebody else: neither the engine, nor the hook
  assert.match(sayAs(65533, socket, preflight), /EACCES/)
  assert.match(
    sayAs(65533, Path.join(site.stateDir, "hook.sock"), "{\"version\":1,\"vmid\":100,\"waitMs\":1000}"),
    /EACCES/
  )
}
