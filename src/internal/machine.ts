/**
 * Which machine this is, as far as it can be told: a clone and its original have the same state directory, and only one
 * of them may speak for it.
 *
 * A copy of a disk has the same machine-id(5) until somebody renews it; hypervisors give a clone another product_uuid
 * (SMBIOS type 1). In a container that one is the host's, and changes when the container moves.
 */
import { Effect, Option, Schema } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"

/** What is known of a machine; "" is not known. */
export const Machine = Schema.Struct({ machineId: Schema.String, productUuid: Schema.String })
export interface Machine extends Schema.Schema.Type<typeof Machine> {}

/** What container managers leave for their guests to see (systemd-detect-virt(1)). */
const containerSigns = ["run/systemd/container", "run/host/container-manager", ".dockerenv", "run/.containerenv"]

/** This machine; the files are looked for below `root`. */
export const read = (root = "/"): Effect.Effect<Machine> =>
  Effect.gen(function*() {
    const word = (path: string) =>
      Effect.promise(() =>
        Fs.readFile(Path.join(root, path), "latin1").then((text) => text.trim().toLowerCase(), () => "")
      )
    const isThere = (path: string) =>
      Effect.promise(() => Fs.access(Path.join(root, path)).then(() => true, () => false))
    const [machineId, transient, productUuid, signs] = yield* Effect.all([
      word("etc/machine-id"),
      // an id that could not be kept is another one after the next boot (systemd-machine-id-commit(1))
      word("run/machine-id"),
      word("sys/class/dmi/id/product_uuid"),
      Effect.forEach(containerSigns, isThere, { concurrency: "unbounded" })
    ], { concurrency: "unbounded" })
    const inContainer = signs.includes(true) || /(?:^|\0)container=/.test(yield* word("proc/1/environ"))
    const isId = /^[0-9a-f]{32}$/.test(machineId) && machineId !== transient
    const isUuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(productUuid) &&
      !/^[0-]+$|^[f-]+$/.test(productUuid)
    return { machineId: isId ? machineId : "", productUuid: isUuid && !inContainer ? productUuid : "" }
  })

const words = { machineId: "/etc/machine-id", productUuid: "/sys/class/dmi/id/product_uuid" } as const

/** What shows that two machines are not the same one. What is not known of one of them shows nothing. */
export const difference = (a: Machine, b: Machine): Option.Option<string> => {
  const differs = (["machineId", "productUuid"] as const).filter((key) =>
    a[key] !== "" && b[key] !== "" && a[key] !== b[key]
  )
  return differs.length === 0 ? Option.none() : Option.some(differs.map((key) => words[key]).join(" and "))
}
