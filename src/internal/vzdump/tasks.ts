/**
 * The tasks of Proxmox VE: every vzdump is one, with a UPID and a log.
 */
import { Effect, Option, Schema } from "effect"
import * as Fs from "node:fs/promises"
import * as Upid from "../../domain/Upid.ts"
import { exitOfTaskLine, type VzdumpExit } from "../../domain/VzdumpLog.ts"
import type { VzdumpHost } from "./host.ts"
import * as Processes from "./processes.ts"

/** The process of the task. */
export const processOf = (upid: Upid.Upid): Processes.Identity => {
  const { pid, pstart } = Upid.decode(upid)
  return { pid, startTime: pstart }
}

/** The vzdump that holds the lock of the host, if it still runs. */
export const present = (host: VzdumpHost): Effect.Effect<Option.Option<Upid.Upid>> =>
  Effect.gen(function*() {
    const text = yield* Effect.promise(() => Fs.readFile(host.pidFile, "utf8").catch(() => ""))
    const upid = Schema.decodeUnknownOption(Upid.Upid)(text.trim())
    if (Option.isNone(upid) || Upid.decode(upid.value).type !== "vzdump") return Option.none()
    return (yield* Processes.isAlive(processOf(upid.value))) ? upid : Option.none()
  })

/** The task of the command `vzdump` that runs as this process: the command's child does the work. */
export const ofCommand = (host: VzdumpHost, command: Processes.Identity): Effect.Effect<Option.Option<Upid.Upid>> =>
  Effect.gen(function*() {
    const upid = yield* present(host)
    if (Option.isNone(upid)) return upid
    const worker = yield* Processes.look(processOf(upid.value).pid)
    return worker?.parent === command.pid ? upid : Option.none()
  })

const tailSize = 4096

/** How the task ended, by the last line of its log. */
export const exitOf = (host: VzdumpHost, upid: Upid.Upid): Effect.Effect<VzdumpExit | undefined> =>
  Effect.acquireUseRelease(
    Effect.tryPromise(() => Fs.open(Upid.taskLogPath(upid, host.tasksDir), "r")),
    (file) =>
      Effect.tryPromise(() =>
        file.stat().then(({ size }) => file.read(Buffer.alloc(tailSize), 0, tailSize, Math.max(0, size - tailSize)))
      ),
    (file) => Effect.promise(() => file.close().catch(() => undefined))
  ).pipe(
    Effect.map(({ buffer, bytesRead }) => {
      const lines = buffer.subarray(0, bytesRead).toString("utf8").split("\n").filter((line) => line !== "")
      return exitOfTaskLine(lines.at(-1) ?? "")
    }),
    Effect.orElseSucceed(() => undefined)
  )
