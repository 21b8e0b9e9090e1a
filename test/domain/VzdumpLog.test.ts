import { assert, describe, it } from "@effect/vitest"
import { FastCheck, Schema } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import { begin, end, exitOfTaskLine, read, step, type VzdumpExit, type VzdumpView } from "../../src/domain/VzdumpLog.ts"

const Answer = Schema.parseJson(Schema.Struct({
  guestType: Schema.NullOr(Schema.String),
  vmid: Schema.NullOr(Schema.Number),
  effectiveMode: Schema.NullOr(Schema.String),
  pointInTimeFixedAtLine: Schema.NullOr(Schema.Number),
  outcome: Schema.Literal("done", "failed"),
  error: Schema.NullOr(Schema.String),
  exitstatus: Schema.String
}))

/** Logs of vzdump's own code, each with what is true of it. */
const place = Path.join(import.meta.dirname, "../data/vzdump")
const samples = readdirSync(place).filter((name) => name.endsWith(".json")).map((file) => {
  const name = file.slice(0, -".json".length)
  return {
    name,
    answer: Schema.decodeSync(Answer)(readFileSync(Path.join(place, file), "utf8")),
    lines: readFileSync(Path.join(place, `${name}.log`), "utf8").replace(/\n$/, "").split("\n")
  }
})
const sampleLines = (name: string) => samples.find((sample) => sample.name === name)?.lines ?? []

const status = (exitstatus: string): VzdumpExit => ({ _tag: "Status", exitstatus })
const code = (code: number): VzdumpExit => ({ _tag: "Code", code })
const vanished: VzdumpExit = { _tag: "Vanished" }
const ok = status("OK")

/** The views after no line, after the first, ... */
const views = (vmid: number, lines: ReadonlyArray<string>): ReadonlyArray<VzdumpView> => {
  const all = [begin(vmid)]
  for (const line of lines) all.push(step(all.at(-1) ?? begin(vmid), line))
  return all
}

/** The line at which the point in time is taken, -1 where that is never. */
const pointAt = (vmid: number, lines: ReadonlyArray<string>) =>
  views(vmid, lines).slice(1).findIndex(({ phase }) => phase === "snapshotted")

const point = (vmid: number, lines: ReadonlyArray<string>) => lines[pointAt(vmid, lines)]

const rank = { queued: 0, running: 1, snapshotted: 2, done: 3, failed: 3 }

/** A log without the prefixes; `!` is an error, `|` the output of a tool. */
const log = (text: string) =>
  text.trim().split("\n").map((line) => line.trim()).map((line) =>
    line.startsWith("!") ? `ERROR: ${line.slice(1)}` : line.startsWith("|") ? line.slice(1) : `INFO: ${line}`
  )

const lxc = (vmid: number, mode: string, rest = "") =>
  log(`
    Starting Backup of VM ${vmid} (lxc)
    Backup started at 2026-01-01 00:00:00
    status = running
    CT Name: app
    backup mode: ${mode}
    ${rest}`)

const qemu = (vmid: number, mode: string, rest = "") =>
  log(`
    Starting Backup of VM ${vmid} (qemu)
    status = running
    VM Name: app
    backup mode: ${mode}
    ${rest}`)

const lxcOk = (vmid: number) =>
  lxc(
    vmid,
    "snapshot",
    `create storage snapshot 'vzdump'
     creating vzdump archive '/dump/${vmid}.tar'
     cleanup temporary 'vzdump' snapshot
     Finished Backup of VM ${vmid} (00:00:17)`
  )

const lxcBad = (vmid: number, reason = "CT is locked (backup)") =>
  log(
    `Starting Backup of VM ${vmid} (lxc)\nstatus = running\n!Backup of VM ${vmid} failed - ${reason}\nFailed at 00:00`
  )

describe("the samples", () => {
  it("are there", () => assert.isAtLeast(samples.length, 22))

  for (const { answer, lines, name } of samples) {
    const vmid = answer.vmid ?? 100
    const whole = read(vmid, lines, status(answer.exitstatus))

    it(`${name}: the whole log says what is true`, () => {
      assert.strictEqual(whole.phase, answer.outcome)
      assert.strictEqual(whole.guestType ?? null, answer.guestType)
      assert.strictEqual(whole.effectiveMode ?? null, answer.effectiveMode)
      assert.strictEqual(pointAt(vmid, lines), answer.pointInTimeFixedAtLine ?? -1)
      assert.strictEqual(whole.lockHeld, name.startsWith("run-lock-"))
      if (answer.error === null) return assert.isUndefined(whole.error)
      // the answers leave out a part of long commands
      const [first = "", ...parts] = answer.error.split("...")
      assert.isTrue(whole.error?.startsWith(first), whole.error)
      for (const part of parts) assert.include(whole.error, part)
      assert.isTrue(whole.error?.endsWith(parts.at(-1) ?? first), whole.error)
      assert.isAtMost(whole.error?.length ?? 0, 500)
    })

    it(`${name}: the command says the same by its exit code`, () => {
      const printed = lines.filter((line) => exitOfTaskLine(line) === undefined)
      const told = read(vmid, printed, code(answer.outcome === "done" ? 0 : 255))
      assert.deepStrictEqual({ ...told, closed: whole.closed }, whole)
    })

    it(`${name}: a part never says more than the whole, and the phases only go on`, () => {
      const all = views(vmid, lines)
      for (const [index, view] of all.entries()) {
        assert.isAtLeast(rank[view.phase], rank[all[index - 1]?.phase ?? "queued"])
        assert.notStrictEqual(view.phase, "done")
        assert.strictEqual(view.error !== undefined, view.phase === "failed")
        if (view.phase === "failed") assert.deepStrictEqual(view, whole)
        for (const key of ["guestType", "artifact", "effectiveMode"] as const) {
          if (view[key] !== undefined) assert.strictEqual(view[key], whole[key])
        }
        assert.deepStrictEqual(read(vmid, lines.slice(0, index)), view)
        for (const exit of [vanished, code(137), status("unexpected status")]) {
          assert.strictEqual(end(view, exit).phase, "failed")
        }
      }
    })

    it(`${name}: says the same in all forms of a log`, () => {
      const forms = [
        (line: string) => `2025-08-24 00:05:02 ${line}`,
        (line: string) => `00:05:02 ${line}`,
        (line: string) => `${vmid}: 2025-08-24 00:05:02 ${line}`
      ]
      for (const form of forms) {
        const formed = lines.map((line) => /^(INFO|WARN|ERROR):/.test(line) ? form(line) : line)
        assert.deepStrictEqual(views(vmid, formed), views(vmid, lines))
      }
      for (const ending of ["\r", "\n", "\r\n"]) {
        assert.deepStrictEqual(views(vmid, lines.map((line) => line + ending)), views(vmid, lines))
      }
    })

    it(`${name}: says nothing of another guest`, () => {
      for (const exit of [undefined, ok, vanished, code(0), code(255), status("job errors")]) {
        for (let cut = 0; cut <= lines.length; cut++) {
          const view = read(999, lines.slice(0, cut), exit)
          assert.include(exit === undefined ? ["queued", "failed"] : ["failed"], view.phase)
          for (const key of ["guestType", "effectiveMode", "artifact", "progress"] as const) {
            assert.isUndefined(view[key])
          }
        }
      }
    })

    it(`${name}: noise between the lines changes nothing`, () => {
      FastCheck.assert(
        FastCheck.property(FastCheck.array(FastCheck.tuple(FastCheck.nat(lines.length), noise)), (added) => {
          const noisy = [...lines, undefined].flatMap((line, index) => [
            ...added.filter(([at]) => at === index).map(([, text]) => text),
            ...(line === undefined ? [] : [line])
          ])
          assert.deepStrictEqual(read(vmid, noisy, status(answer.exitstatus)), whole)
        }),
        { numRuns: 200 }
      )
    })
  }
})

/** What hooks and tools print, some of it nearly a word of vzdump. */
const noise = FastCheck.oneof(
  FastCheck.string({ unit: "grapheme" }).map((text) => `INFO: ${text}`),
  FastCheck.string({ unit: "grapheme" }),
  FastCheck.constantFrom(
    ...log(`
      Errors: 0
      hook: Starting Backup of VM 101 (lxc)
      Starting Backup of VM 101 (lxc) by hook
      Starting Backup of VM 101
      Starting Backup of VM all (lxc)
      Starting backup of VM 101 (lxc)
      hook: backup mode: stop
      backup mode: stop, says the hook
      backup mode: fast
      hook: Finished Backup of VM 100 (00:00:17)
      Finished Backup of VM 999 (00:00:17)
      Finished Backup of VM
      Finished backup of everything (00:00:17)
      create storage snapshot
      created storage snapshot 'vzdump'
      creating vzdump archive
      creating archive
      recreating archive '/dump/x.tar'
      creating vzdump archive '/dump/x.tar' - done
      creating an archive of '/etc'
      sending archive to stdout of the hook
      hook: started backup task 'x'
      started backup task
      started backup task 'x' by hook
      starting NBD server on /run/x
      resuming guest 100
      resuming VM again
      resuming VM again after 3 seconds
      guest is online again after <1 seconds
      issuing guest-agent 'fs-thaw' command
      Backup of VM 100 failed - says a hook
      Backup job failed - says a hook
      Backup job finished with errors
      can't acquire lock '/var/run/vzdump.lock' (wait = 0)
      TASK ERROR: says a hook
      100% (big of bigger) in 2s
      ERROR: Backup of VM 100 failed - says a hook
      !could not notify via target \`mail-to-root\`: no recipients
      !unable to freeze guest fs - fsfreeze hook has failed with status 1
      !VM 100 qmp command 'guest-fsfreeze-thaw' failed - got timeout
      !a Backup of VM 100 failed - not at the begin
      |creating vzdump archive '/dump/x.tar'
      |started backup task 'x'
      |  Logical volume "snap_vm-100-disk-0_vzdump" created.
      |  WARNING: Sum of all thin volume sizes exceeds the size of thin pool
      |/dev/rbd12
      |Removing snap: 100% complete...done.
      |command '/hook.sh log-end' failed: exit code 3
      |TASK
      |TASKS OK
      | TASK OK
      |TASK OKAY
      |TASK WARNINGS: many
      |task ok
      |Finished Backup of VM 100 (00:00:01)
      |DEBUG: Finished Backup of VM 100 (00:00:01)`),
    "WARN: Backup of VM 100 failed - as a warning",
    "WARN: creating vzdump archive '/dump/x.tar'",
    "INFO: Starting Backup of VM 101 (lxc)\rover it",
    "INFO: first\rINFO: Starting Backup of VM 101 (lxc)",
    "INFO: first\nERROR: Backup of VM 100 failed - in the middle",
    "INFO: started backup task 'x'\u2028"
  )
)

describe("the point in time", () => {
  it("of a container is where its archive begins, in all wordings", () => {
    for (
      const archive of [
        "creating archive '/dump/x.tar'",
        "creating vzdump archive '/dump/x.tar'",
        "creating Proxmox Backup Server archive 'ct/100/2026-01-01T00:00:00Z'",
        "creating Some Provider archive 'ct/100/2026'",
        "sending archive to stdout"
      ]
    ) {
      const named = /'(.*)'/.exec(archive)?.[1]
      for (
        const lines of [
          lxc(100, "snapshot", `create storage snapshot 'vzdump'\n${archive}`),
          lxc(100, "snapshot", `create storage snapshot snapshot\n${archive}`),
          // with several volumes
          lxc(100, "snapshot", `suspend vm to make snapshot\ncreate storage snapshot 'vzdump'\nresume vm\n${archive}`),
          lxc(100, "suspend", `suspending guest\nresuming guest\nguest is online again after 55 seconds\n${archive}`),
          lxc(100, "suspend", `suspend vm\nresume vm\nvm is online again after 55 seconds\n${archive}`)
        ]
      ) {
        assert.strictEqual(point(100, lines), `INFO: ${archive}`)
        assert.strictEqual(read(100, lines).artifact, named)
      }
    }
  })

  it("of a stopped container does not exist, and its archive is known", () => {
    const lines = lxc(
      100,
      "stop",
      `stopping virtual guest
       create storage snapshot 'vzdump'
       resuming guest
       creating vzdump archive '/dump/x.tar'
       started backup task 'x'
       starting NBD server
       restarting vm
       guest is online again after 300 seconds
       Finished Backup of VM 100 (00:05:00)`
    )
    assert.strictEqual(pointAt(100, lines), -1)
    const view = read(100, lines, ok)
    assert.strictEqual(view.phase, "done")
    assert.strictEqual(view.artifact, "/dump/x.tar")
    assert.isUndefined(view.progress)
  })

  it("of a VM is where its backup task has begun, in every mode and wording", () => {
    for (const mode of ["snapshot", "suspend", "stop"]) {
      for (
        const archive of ["creating archive '/dump/x.vma'", "creating Acme archive 'a'", "sending archive to stdout"]
      ) {
        for (const task of ["started backup task '3fef2565-ac97-4258-a3a4-c8d2cfd2e8cd'", "starting NBD server"]) {
          const lines = qemu(
            100,
            mode,
            `${archive}
             attaching TPM drive to QEMU for backup
             drive-scsi0: attaching fleecing image local-lvm:vm-100-fleece-0 to QEMU
             issuing guest-agent 'fs-freeze' command
             setting up snapshot-access for backup
             issuing guest-agent 'fs-thaw' command
             resuming VM again
             ${task}
             scsi0: dirty-bitmap status: OK (1.0 GiB of 32.0 GiB dirty)`
          )
          assert.strictEqual(point(100, lines), `INFO: ${task}`)
          assert.strictEqual(read(100, lines).effectiveMode, mode)
        }
      }
    }
  })

  it("of a VM without disks does not exist", () => {
    const lines = qemu(
      100,
      "snapshot",
      `creating vzdump archive '/dump/x.vma'
       backup contains no disks
       starting diskless backup
       Finished Backup of VM 100 (00:00:01)`
    )
    assert.strictEqual(pointAt(100, lines), -1)
    assert.strictEqual(read(100, lines, ok).phase, "done")
  })

  it("is not what says that the guest runs again, nor the storage snapshot", () => {
    const all = `
      create storage snapshot 'vzdump'
      suspending guest
      resuming guest
      resume vm
      resuming VM again
      resuming VM again after 2 seconds
      guest is online again after 2 seconds
      issuing guest-agent 'fs-thaw' command
      starting backup via QMP command`
    for (const mode of ["snapshot", "suspend", "stop"]) {
      for (const guest of [lxc, qemu]) assert.strictEqual(read(100, guest(100, mode, all)).phase, "running")
    }
  })

  it("belongs to the kind of the guest", () => {
    const archive = "creating vzdump archive '/dump/x'"
    assert.strictEqual(pointAt(100, qemu(100, "snapshot", `create storage snapshot 'vzdump'\n${archive}`)), -1)
    for (const mode of ["snapshot", "suspend"]) {
      const before = mode === "snapshot" ? "create storage snapshot 'vzdump'" : "resuming guest"
      const wrong = mode === "snapshot" ? "resuming guest" : "create storage snapshot 'vzdump'"
      assert.strictEqual(pointAt(100, lxc(100, mode, `${before}\nstarted backup task 'x'\nstarting NBD server`)), -1)
      assert.strictEqual(pointAt(100, lxc(100, mode, `${wrong}\n${archive}`)), -1)
      assert.isAtLeast(pointAt(100, lxc(100, mode, `${before}\n${archive}`)), 0)
    }
    const old = lxc(100, "snapshot", `create storage snapshot 'vzdump'\n${archive}\nstarted backup task 'x'`)
    const unknown = old.map((line) => line.replace("(lxc)", "(openvz)"))
    assert.strictEqual(read(100, unknown).phase, "running")
    assert.isUndefined(read(100, unknown).guestType)
  })

  it("is not where a line only begins like vzdump's", () => {
    const archive = "creating vzdump archive '/dump/x'"
    for (const almost of ["create storage snapshot", "create storage snapshot 'vzdump' by hook"]) {
      assert.strictEqual(pointAt(100, lxc(100, "snapshot", `${almost}\n${archive}`)), -1)
    }
    for (const almost of ["resuming guest 100", "resume vm 100", "so resuming guest"]) {
      assert.strictEqual(pointAt(100, lxc(100, "suspend", `${almost}\n${archive}`)), -1)
    }
    for (const almost of ["started backup task", "started backup task 'x' by hook", "starting NBD server on /run/x"]) {
      assert.strictEqual(pointAt(100, qemu(100, "snapshot", `${archive}\n${almost}`)), -1)
    }
    const spaced = [...lxc(100, "snapshot", "create storage snapshot 'vzdump'"), `INFO:  ${archive}`]
    assert.strictEqual(pointAt(100, spaced), -1)
  })

  it("follows the mode to which vzdump fell back", () => {
    const fallback = `
      trying 'suspend' mode instead
      backup mode: suspend
      suspending guest
      resuming guest
      creating vzdump archive '/dump/x.tar'
      backup mode: stop`
    const view = read(100, lxc(100, "snapshot", fallback))
    assert.strictEqual(view.phase, "snapshotted")
    assert.strictEqual(view.effectiveMode, "suspend")
    const stopped = lxc(
      100,
      "snapshot",
      "create storage snapshot 'vzdump'\nbackup mode: stop\ncreating vzdump archive '/dump/x.tar'"
    )
    assert.strictEqual(read(100, stopped).phase, "running")
    assert.strictEqual(read(100, stopped).effectiveMode, "stop")
    // what came before the fall does not count for the mode after it
    const fallen = lxc(
      100,
      "snapshot",
      "create storage snapshot 'vzdump'\nbackup mode: suspend\ncreating vzdump archive '/dump/x.tar'"
    )
    assert.strictEqual(pointAt(100, fallen), -1)
  })
})

describe("a hook that prints whole lines of vzdump", () => {
  const archive = "creating vzdump archive '/dump/x.tar'"

  it("cannot take the point before the snapshot of a container", () => {
    const lines = lxc(
      100,
      "snapshot",
      `creating database archive '/tmp/db.tar'
       resuming guest
       creating database archive '/tmp/db.tar'
       started backup task 'x'
       create storage snapshot 'vzdump'
       ${archive}`
    )
    assert.strictEqual(pointAt(100, lines), lines.length - 1)
    assert.strictEqual(read(100, lines).artifact, "/dump/x.tar")
    const suspended = lxc(
      100,
      "suspend",
      `create storage snapshot 'vzdump'\ncreating database archive '/tmp/db.tar'\nresuming guest\n${archive}`
    )
    assert.strictEqual(pointAt(100, suspended), suspended.length - 1)
  })

  it("cannot take the point before a VM's archive, nor name another archive", () => {
    const lines = qemu(
      100,
      "snapshot",
      `started backup task 'x'
       starting NBD server
       creating database archive '/tmp/db.tar'
       ${archive}
       started backup task '1'
       creating database archive '/tmp/db.tar'`
    )
    assert.strictEqual(pointAt(100, lines), lines.length - 2)
    assert.strictEqual(read(100, lines).artifact, "/dump/x.tar")
  })

  it("cannot take the point of a VM with words for a container, or before its mode", () => {
    const task = "started backup task 'x'"
    assert.strictEqual(pointAt(100, qemu(100, "snapshot", `create storage snapshot 'vzdump'\n${task}`)), -1)
    assert.strictEqual(pointAt(100, qemu(100, "suspend", `resuming guest\n${task}`)), -1)
    assert.strictEqual(pointAt(100, log(`Starting Backup of VM 100 (qemu)\n${archive}\n${task}`)), -1)
  })

  it("cannot raise the mode", () => {
    for (const [mode, better] of [["stop", "snapshot"], ["stop", "suspend"], ["suspend", "snapshot"]] as const) {
      const lines = lxc(100, mode, `backup mode: ${better}\ncreate storage snapshot 'vzdump'\n${archive}`)
      assert.strictEqual(pointAt(100, lines), -1)
      assert.strictEqual(read(100, lines).effectiveMode, mode)
    }
  })

  it("is forgotten at the true start, and says nothing before any", () => {
    const before = `
      backup mode: snapshot
      create storage snapshot 'vzdump'
      ${archive}
      Finished Backup of VM 100 (00:00:01)`
    assert.deepStrictEqual(read(100, log(before)), begin(100))
    const played = lxc(100, "snapshot", "create storage snapshot 'vzdump'")
    const lines = [...played, ...lxc(100, "stop", archive)]
    assert.strictEqual(pointAt(100, lines), -1)
    assert.strictEqual(read(100, lines).effectiveMode, "stop")
    const lowered = [...lxc(100, "stop"), ...lxc(100, "snapshot", `create storage snapshot 'vzdump'\n${archive}`)]
    assert.strictEqual(pointAt(100, lowered), lowered.length - 1)
    assert.strictEqual(pointAt(100, [...played, ...lxc(100, "snapshot", archive)]), -1)
    const early = log(`Starting Backup of VM 100 (lxc)\ncreate storage snapshot 'vzdump'\n${archive}`)
    assert.strictEqual(pointAt(100, early), -1)
    assert.isUndefined(read(100, early).artifact)
  })

  it("does not take the point back", () => {
    const lines = [
      ...lxc(100, "snapshot", `create storage snapshot 'vzdump'\n${archive}`),
      ...log("Starting Backup of VM 100 (qemu)\nbackup mode: stop\ncreating database archive '/tmp/db.tar'")
    ]
    const view = read(100, lines)
    assert.strictEqual(view.phase, "snapshotted")
    assert.strictEqual(view.guestType, "lxc")
    assert.strictEqual(view.effectiveMode, "snapshot")
    assert.strictEqual(view.artifact, "/dump/x.tar")
  })

  it("says nothing after Finished", () => {
    const end = "Finished Backup of VM 100 (00:00:01)"
    const lines = lxc(100, "snapshot", `create storage snapshot 'vzdump'\n${end}\n${archive}\nbackup mode: stop`)
    assert.strictEqual(pointAt(100, lines), -1)
    const again = [...lines, ...lxc(100, "stop", "")]
    assert.strictEqual(read(100, again).effectiveMode, "snapshot")
    assert.strictEqual(read(100, again, ok).phase, "done")
    const late = read(100, [...lxcOk(100), ...log("creating database archive '/tmp/db.tar'")])
    assert.strictEqual(late.artifact, "/dump/100.tar")
  })
})

describe("the progress of a VM", () => {
  const at = (...lines: ReadonlyArray<string>) =>
    read(100, qemu(100, "snapshot", `creating archive '/x'\nstarted backup task 'x'\n${lines.join("\n")}`)).progress

  it("is read in bytes, new and old", () => {
    assert.deepStrictEqual(at(" 20% (4.2 GiB of 20.0 GiB) in 3s, read: 1.4 GiB/s, write: 1.4 GiB/s"), {
      bytes: Math.round(4.2 * 1024 ** 3),
      totalBytes: 20 * 1024 ** 3
    })
    assert.deepStrictEqual(at("100% (16.0 MiB of 16.0 MiB) in 2s"), { bytes: 16_777_216, totalBytes: 16_777_216 })
    assert.deepStrictEqual(at("  0% (0.0 B of 1.5 TiB) in 0s"), { bytes: 0, totalBytes: 1.5 * 1024 ** 4 })
    assert.deepStrictEqual(at("status: 42% (12884901888/30601641984), sparse 0% (0), duration 312"), {
      bytes: 12_884_901_888,
      totalBytes: 30_601_641_984
    })
    const last = at("  1% (1.0 KiB of 10.0 KiB) in 1s", " 20% (2.0 KiB of 10.0 KiB) in 1s")
    assert.deepStrictEqual(last, { bytes: 2_048, totalBytes: 10_240 })
  })

  it("is left out where it cannot be right", () => {
    for (
      const line of [
        "100% (0.0 B of 0.0 B) in 0s",
        " 20% (4.2 GB of 20.0 GB) in 3s",
        " 20% (4.2 iB of 20.0 GiB) in 3s",
        " 20% (30.0 GiB of 20.0 GiB) in 3s",
        " 20% (4 of 20) in 3s",
        "status: 20% (5/4), sparse",
        "backup is sparse: 4.00 MiB (25%) total zero data"
      ]
    ) assert.isUndefined(at(line), line)
  })

  it("is no container's, and no one's before the point or after the end", () => {
    const line = " 20% (4.2 GiB of 20.0 GiB) in 3s"
    const container = lxc(100, "snapshot", `create storage snapshot 'vzdump'\ncreating archive '/x'\n${line}`)
    assert.isUndefined(read(100, container).progress)
    assert.isUndefined(read(100, qemu(100, "snapshot", `creating archive '/x'\n${line}`)).progress)
    assert.isUndefined(at("Finished Backup of VM 100 (00:00:01)", line))
    assert.isUndefined(at("Starting Backup of VM 101 (qemu)", line))
  })
})

describe("a job of several guests", () => {
  it("is read for each guest alone", () => {
    const others = [...lxcOk(99), ...log("Backup finished at 2026-01-01 00:00:17"), ...lxcOk(101)]
    const view = read(100, [...lxcOk(99), ...lxc(100, "stop", "creating archive '/x'"), ...lxcOk(101)])
    assert.strictEqual(view.phase, "running")
    assert.strictEqual(view.effectiveMode, "stop")
    assert.strictEqual(view.artifact, "/x")
    assert.deepStrictEqual({ ...read(100, others), scope: undefined }, begin(100))
    assert.strictEqual(read(100, others, ok).phase, "failed")
    // the end of our guest is lost: what follows is another's
    const lost = lxc(100, "snapshot", "create storage snapshot 'vzdump'")
    assert.strictEqual(read(100, [...lost, ...lxcOk(101)]).phase, "running")
    const played = [...lost, ...lxcOk(101), ...log("Finished Backup of VM 100 (00:00:01)")]
    assert.strictEqual(read(100, played, ok).phase, "failed")
    // as of a kind that we do not know
    assert.strictEqual(
      read(100, [...lost, ...log("Starting Backup of VM 7 (new)"), ...lxcOk(101).slice(1)]).phase,
      "running"
    )
  })

  it("does not fail for the fault of another", () => {
    for (const lines of [[...lxcOk(100), ...lxcBad(101)], [...lxcBad(99), ...lxcOk(100)]]) {
      for (const exit of [code(255), status("job errors"), status("command '/hook.sh job-end' failed: exit code 3")]) {
        assert.strictEqual(read(100, lines, exit).phase, "done")
        assert.isUndefined(read(100, lines, exit).error)
      }
      assert.strictEqual(read(100, [...lines, "TASK ERROR: job errors"], status("job errors")).phase, "done")
      // but if it was killed, that is not why
      for (const exit of [code(137), code(1), status("unexpected status"), vanished]) {
        assert.strictEqual(read(100, lines, exit).phase, "failed")
      }
    }
  })

  it("does not fail for an interruption of another", () => {
    const cancelled = [
      ...lxcOk(100),
      ...lxcBad(101, "interrupted by signal"),
      ...log("!Backup job failed - interrupted by signal"),
      "TASK ERROR: interrupted by signal"
    ]
    assert.strictEqual(read(100, cancelled, status("interrupted by signal")).phase, "done")
    assert.strictEqual(read(101, cancelled, status("interrupted by signal")).phase, "failed")
    const rest = read(102, cancelled)
    assert.strictEqual(rest.phase, "failed")
    assert.strictEqual(rest.error, "interrupted by signal")
  })

  it("fails for its own fault, and where nobody else is to blame", () => {
    const mine = read(100, [...lxcOk(99), ...lxcBad(100), ...lxcOk(101)], status("job errors"))
    assert.strictEqual(mine.phase, "failed")
    assert.strictEqual(mine.error, "CT is locked (backup)")
    assert.strictEqual(read(100, [...lxcOk(99), ...lxcOk(100)], status("job errors")).phase, "failed")
    // not finished
    assert.strictEqual(read(100, [...lxcBad(99), ...lxcOk(100).slice(0, -1)], status("job errors")).phase, "failed")
    assert.strictEqual(read(100, [...lxcOk(99), ...lxcBad(101)], status("job errors")).phase, "failed")
  })
})

describe("a failure", () => {
  it("is told in the words of the guest's own line", () => {
    const view = read(100, [...lxcBad(100), "TASK ERROR: job errors"], status("job errors"))
    assert.strictEqual(view.error, "CT is locked (backup)")
    assert.strictEqual(read(100, lxcBad(100)).phase, "failed")
    const early = read(150, log("!Backup of VM 150 failed - unable to find VM '150'"))
    assert.strictEqual(early.error, "unable to find VM '150'")
  })

  it("may come after the point, and after all was read", () => {
    const lines = qemu(
      100,
      "snapshot",
      `creating Proxmox Backup Server archive 'vm/100/2026-01-01T00:00:00Z'
       started backup task 'x'
       100% (16.0 MiB of 16.0 MiB) in 2s
       prune older backups with retention: keep-last=2
       !Backup of VM 100 failed - error pruning backups - check log`
    )
    assert.isAtLeast(pointAt(100, lines), 0)
    const view = read(100, lines, status("job errors"))
    assert.strictEqual(view.phase, "failed")
    assert.strictEqual(view.error, "error pruning backups - check log")
    assert.deepStrictEqual(view.progress, { bytes: 16_777_216, totalBytes: 16_777_216 })
  })

  it("is not an error in the middle of a good backup", () => {
    const lines = qemu(
      100,
      "snapshot",
      `creating vzdump archive '/dump/x.vma'
       issuing guest-agent 'fs-freeze' command
       !unable to freeze guest fs - fsfreeze hook has failed with status 1
       issuing guest-agent 'fs-thaw' command
       !VM 100 qmp command 'guest-fsfreeze-thaw' failed - got timeout
       started backup task 'x'
       Finished Backup of VM 100 (00:00:02)
       !could not notify via target \`mail-to-root\`: no recipients`
    )
    assert.strictEqual(read(100, lines, ok).phase, "done")
  })

  it("of the job is one of the guest, before its end and after it", () => {
    const why = "!Backup job failed - command '/hook.sh job-end' failed: exit code 3"
    for (const lines of [log(why), [...lxcOk(100), ...log(why)], [...lxcBad(99), ...lxc(100, "stop", why)]]) {
      assert.strictEqual(read(100, lines).phase, "failed")
      assert.strictEqual(read(100, lines, ok).error, "command '/hook.sh job-end' failed: exit code 3")
    }
  })

  it("is told by the task where nothing else tells it", () => {
    const why = "403 Permission check failed (/vms/100, VM.Backup)"
    for (const view of [read(100, [`TASK ERROR: ${why}`]), read(100, [], status(why))]) {
      assert.strictEqual(view.phase, "failed")
      assert.strictEqual(view.error, why)
      assert.isFalse(view.lockHeld)
    }
    const finished = read(100, lxcOk(100), status("hook failed"))
    assert.strictEqual(finished.phase, "failed")
    assert.strictEqual(finished.error, "the backup was finished, but its job failed: hook failed")
    assert.include(read(100, lxcOk(100), code(255)).error, "exit code 255")
    assert.include(read(100, [], status("unexpected status")).error, "unexpected status")
  })

  it("is whatever nobody saw end well", () => {
    for (const lines of [[], lxc(100, "stop"), lxcOk(100).slice(0, -1), lxcOk(100)]) {
      const view = read(100, lines, vanished)
      assert.strictEqual(view.phase, "failed")
      assert.include(view.error, "nobody knows how it ended")
    }
  })

  it("is a good end without the guest, as on a node that does not have it", () => {
    for (const lines of [[], lxcOk(101), lxcOk(100).slice(0, -1), lxcOk(1000), lxcOk(10)]) {
      for (const exit of [ok, code(0), status("WARNINGS: 1")]) {
        const view = read(100, lines, exit)
        assert.strictEqual(view.phase, "failed")
        assert.include(view.error, "Finished Backup of VM 100")
        assert.include(view.error, "is the guest on this node?")
      }
    }
  })

  it("is told in one line of at most 500 characters, with its begin and its end", () => {
    const long = `command '${"tar ".repeat(500)}' failed: exit code 2`
    for (
      const view of [read(100, lxcBad(100, long)), read(100, [], status(long)), read(100, [`TASK ERROR: ${long}`])]
    ) {
      assert.strictEqual(view.error?.length, 500)
      assert.isTrue(view.error?.startsWith("command 'tar tar"))
      assert.isTrue(view.error?.endsWith("' failed: exit code 2"))
    }
    const exact = "x".repeat(500)
    assert.strictEqual(read(100, lxcBad(100, `${exact}y`)).error?.length, 500)
    assert.strictEqual(read(100, lxcBad(100, exact)).error, exact)
    // all lines of an error have the prefix: the first tells it
    assert.strictEqual(read(100, [...lxcBad(100, "first"), ...log("!second")]).error, "first")
    assert.strictEqual(read(100, [], status("a\r\nb\u2028c\u001b[31m\n")).error, "a b c [31m")
    assert.strictEqual(read(100, ["ERROR: Backup of VM 100 failed - a\rb"]).error, "a b")
    for (const view of [read(100, lxcBad(100, "")), read(100, [], status("")), read(100, lxcOk(100), status(" "))]) {
      assert.strictEqual(view.phase, "failed")
      assert.isAbove(view.error?.length ?? 0, 10)
    }
    assert.include(read(100, lxcOk(100), status(" ")).error, "its job failed: vzdump gave no reason")
    FastCheck.assert(FastCheck.property(FastCheck.string({ unit: "binary", maxLength: 2_000 }), (text) => {
      for (
        const view of [read(100, [`ERROR: Backup of VM 100 failed - ${text}`], vanished), read(100, [], status(text))]
      ) {
        assert.match(view.error ?? "", /^.{1,500}$/)
      }
    }))
  })
})

describe("the global lock", () => {
  const path = "/var/run/vzdump.lock"

  it("may be had later where another has it", () => {
    for (
      const line of [
        `can't acquire lock '${path}' (wait = 0)`,
        `can't acquire lock '${path}' - got timeout`,
        `can't acquire lock '/run/vzdump.lock' - got timeout`
      ]
    ) {
      for (const view of [read(100, log(`!${line}`)), read(100, [`TASK ERROR: ${line} at VZDump.pm line 790.`])]) {
        assert.strictEqual(view.phase, "failed")
        assert.isTrue(view.lockHeld)
        assert.include(view.error, line)
      }
      const waited = read(
        100,
        [...log(`trying to get global lock - waiting...\n!${line}`)],
        status("unexpected status")
      )
      assert.isTrue(waited.lockHeld)
      assert.strictEqual(waited.error, line)
    }
  })

  it("is not what failed where nobody holds it, or where the job has begun", () => {
    const interrupted = read(100, log(`!can't acquire lock '${path}' - interrupted by signal`))
    assert.strictEqual(interrupted.phase, "failed")
    assert.isFalse(interrupted.lockHeld)
    // the second line of another guest's error
    const lines = [...lxcBad(99, "first"), ...log(`!can't acquire lock '${path}' (wait = 0)`), ...lxcOk(100)]
    assert.strictEqual(read(100, lines, status("job errors")).phase, "done")
    const late = read(100, lxcBad(100, `can't acquire lock '${path}' (wait = 0)`))
    assert.strictEqual(late.phase, "failed")
    assert.isFalse(late.lockHeld)
    const got = read(100, [...log("trying to get global lock - waiting...\ngot global lock"), ...lxcOk(100)], ok)
    assert.strictEqual(got.phase, "done")
    assert.isFalse(got.lockHeld)
  })
})

describe("the end", () => {
  it("is good with warnings too", () => {
    for (const exit of [ok, code(0), status("WARNINGS: 1"), status("WARNINGS: 22")]) {
      assert.strictEqual(read(100, lxcOk(100), exit).phase, "done")
    }
    for (const exit of ["ok", "OK ", "WARNINGS: ", "WARNINGS: 1 and more", "not OK", "stopped", ""].map(status)) {
      assert.strictEqual(read(100, lxcOk(100), exit).phase, "failed")
    }
  })

  it("alone makes a backup done, and from its lines nothing can be more than snapshotted", () => {
    for (const last of ["TASK OK", "TASK WARNINGS: 2"]) {
      assert.strictEqual(read(100, [...lxcOk(100), last]).phase, "snapshotted")
      assert.strictEqual(read(100, [...lxcOk(100), last], ok).phase, "done")
    }
  })

  it("needs the whole line Finished", () => {
    for (const almost of ["Finished Backup of VM 100", "Finished Backup of VM 100 (00:00:17) and more"]) {
      assert.strictEqual(read(100, [...lxcOk(100).slice(0, -1), `INFO: ${almost}`], ok).phase, "failed")
    }
  })

  it("is final", () => {
    const done = read(100, lxcOk(100), ok)
    const failed = read(100, lxcBad(100))
    for (const view of [done, failed]) {
      for (const line of [...lxcOk(100), ...lxcBad(100), "TASK OK", "TASK ERROR: x"]) {
        assert.strictEqual(step(view, line), view)
      }
      for (const exit of [ok, code(0), code(255), status("x"), vanished]) assert.strictEqual(end(view, exit), view)
    }
  })

  it("comes with the line TASK: nothing counts after it", () => {
    for (const last of ["TASK OK", "TASK WARNINGS: 1"]) {
      const view = read(100, [...lxcOk(100), last, ...lxcBad(100), "TASK ERROR: late"], ok)
      assert.strictEqual(view.phase, "done")
      // nor does what should have come before it
      assert.strictEqual(read(100, [...lxcOk(100).slice(0, -1), last, ...lxcOk(100).slice(-1)], ok).phase, "failed")
    }
    const bad = read(100, [...lxcOk(100), "TASK ERROR: hook failed", "TASK OK"], ok)
    assert.strictEqual(bad.phase, "failed")
    assert.include(bad.error, "hook failed")
  })

  it("is told by the last line of a task's log", () => {
    assert.deepStrictEqual(exitOfTaskLine("TASK OK"), ok)
    assert.deepStrictEqual(exitOfTaskLine("TASK OK\r\n"), ok)
    assert.deepStrictEqual(exitOfTaskLine("TASK WARNINGS: 2"), status("WARNINGS: 2"))
    assert.deepStrictEqual(exitOfTaskLine("TASK ERROR: job errors"), status("job errors"))
    assert.deepStrictEqual(exitOfTaskLine("TASK ERROR: "), status(""))
    for (
      const line of ["", "INFO: TASK OK", " TASK OK", "TASK OK!", "TASK", "task ok", "TASK WARNINGS: x", "TASK ERROR"]
    ) {
      assert.isUndefined(exitOfTaskLine(line), line)
    }
    for (const { answer, lines } of samples) {
      const exit = exitOfTaskLine(lines.at(-1) ?? "")
      assert.deepStrictEqual(exit, answer.exitstatus === "unexpected status" ? undefined : status(answer.exitstatus))
    }
  })

  it("is never good after TASK ERROR, whatever it says", () => {
    const texts = FastCheck.oneof(FastCheck.constantFrom("OK", "WARNINGS: 1", "OK\r", ""), FastCheck.string())
    FastCheck.assert(FastCheck.property(texts, (text) => {
      const exit = exitOfTaskLine(`TASK ERROR: ${text}`)
      assert.strictEqual(exit && read(100, lxcOk(100), exit).phase, "failed")
    }))
  })
})

describe("any order of lines", () => {
  const words = FastCheck.constantFrom(
    ...new Set(samples.flatMap(({ lines }) => lines)),
    ...lxcOk(100),
    ...lxcBad(101),
    ...qemu(200, "stop"),
    ...sampleLines("run-qemu-guest-off-ok")
  )

  it("goes only forward, and is never done before its end", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(words, { maxLength: 60 }),
        FastCheck.constantFrom(100, 101, 200),
        (lines, vmid) => {
          const all = views(vmid, lines)
          for (const [index, view] of all.entries()) {
            const before = all[index - 1] ?? view
            assert.isAtLeast(rank[view.phase], rank[before.phase])
            assert.notStrictEqual(view.phase, "done")
            if (before.phase === "failed") assert.strictEqual(view, before)
            if (view.phase === "done" || view.finished) {
              assert.isTrue(
                lines.some((line) => line.includes(`Finished Backup of VM ${vmid} (`))
              )
            }
            for (const exit of [ok, code(255), vanished]) {
              assert.include(["done", "failed"], end(view, exit).phase)
              if (end(view, exit).phase === "done") assert.isTrue(view.finished)
            }
          }
        }
      ),
      { numRuns: 500 }
    )
  })
})
