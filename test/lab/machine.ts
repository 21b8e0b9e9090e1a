/**
 * Another machine, as far as a program sees it by its files: the same ones but for machine-id and the uuid of the
 * firmware, and directories that are others there. Processes, network and clock are those of this machine.
 */
import { Effect, type Scope } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { workDirectory } from "./loopfs.ts"

export interface Machine {
  readonly machineId: string
  readonly productUuid: string
  /** What lies at a path there, by the path. */
  readonly at?: Readonly<Record<string, string>>
}

// a root of its own, because the sign of a container (/.dockerenv) must not be seen
const script = `root=$1; id=$2; uuid=$3; shift 3
mount -t tmpfs tmpfs "$root"
for path in /*; do
  if [ -L "$path" ]; then cp -P "$path" "$root/"
  elif [ -d "$path" ]; then mkdir "$root$path"; mount --rbind "$path" "$root$path"
  fi
done
mount -t tmpfs tmpfs "$root/sys/class"
mkdir -p "$root/sys/class/dmi/id"
echo "$uuid" > "$root/sys/class/dmi/id/product_uuid"
echo "$id" > "$root/.machine-id"
mount --bind "$root/.machine-id" "$root/etc/machine-id"
while [ "$1" != -- ]; do mount --bind "$2" "$root$1"; shift 2; done
shift
exec chroot "$root" "$@"`

/** The words before those of a program that is to run there. Needs root. What they mount is gone with the program. */
export const make = (machine: Machine): Effect.Effect<ReadonlyArray<string>, never, Scope.Scope> =>
  Effect.map(workDirectory, (directory) => {
    const root = Path.join(directory, "root")
    Fs.mkdirSync(root)
    return [
      "unshare",
      "--mount",
      "--propagation",
      "private",
      "sh",
      "-ec",
      script,
      "machine",
      root,
      machine.machineId,
      machine.productUuid,
      ...Object.entries(machine.at ?? {}).flat(),
      "--"
    ]
  })
