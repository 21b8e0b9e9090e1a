/**
 * The configuration of a guest (`/etc/pve/lxc/100.conf`, `/etc/pve/qemu-server/200.conf`): lines `key: value`, and after
 * them sections `[name]` of snapshots and of pending changes, which are not the guest as it is.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { errnoOf, reasonOf } from "../durable.ts"
import { EngineFailed } from "../../services/Engine.ts"

export interface GuestConfig {
  readonly type: "lxc" | "qemu"
  /** What works on it: `backup`, `migrate`, `snapshot`, ... */
  readonly lock: string | undefined
  /** The main section. */
  readonly settings: ReadonlyMap<string, string>
}

/** Reads the text of the file. */
export const parse = (type: GuestConfig["type"], text: string): GuestConfig => {
  const main = text.split(/^\[/m)[0] ?? ""
  const settings = new Map(
    main.split("\n").flatMap((line) => {
      const [, key, value] = /^([a-z][\w-]*):\s*(.*?)\s*$/i.exec(line) ?? []
      return key === undefined || value === undefined ? [] : [[key, value] as const]
    })
  )
  return { type, lock: settings.get("lock"), settings }
}

const places = [["lxc", "lxc"], ["qemu", "qemu-server"]] as const

/** The configuration of the guest, if it is one of this node. */
export const read = (directory: string, vmid: number): Effect.Effect<GuestConfig | undefined, EngineFailed> =>
  Effect.gen(function*() {
    for (const [type, place] of places) {
      const path = Path.join(directory, place, `${vmid}.conf`)
      const text = yield* Effect.tryPromise({
        try: () =>
          Fs.readFile(path, "utf8").catch((error: unknown) => {
            if (errnoOf(error) !== "ENOENT") throw error
          }),
        catch: (error) => new EngineFailed({ reason: `${path}: ${reasonOf(error)}` })
      })
      if (text !== undefined) return parse(type, text)
    }
    return undefined
  })

/** Fails when the guest is not one of this node: vzdump would print nothing and end well. */
export const require = (directory: string, vmid: number): Effect.Effect<GuestConfig, EngineFailed> =>
  Effect.flatMap(read(directory, vmid), (found) =>
    found === undefined
      ? new EngineFailed({
        reason: `guest ${vmid} is not on this node: there is neither lxc/${vmid}.conf nor qemu-server/${vmid}.conf ` +
          `in ${directory}`
      })
      : Effect.succeed(found))
