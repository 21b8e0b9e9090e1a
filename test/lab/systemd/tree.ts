/**
 * The files of a small Debian with systemd as its init, made from this machine's packages. Their scripts are not run: what
 * these would have set up, and systemd needs, is written here.
 */
import { Effect } from "effect"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { unpack, withDependencies } from "../docker/apt.ts"
import { cached } from "../docker/cache.ts"
import { attempt, execute } from "../postgresInstall.ts"

const packages = [
  "systemd-sysv",
  "dbus",
  "bash",
  "coreutils",
  "dash",
  "findutils",
  "grep",
  "hostname",
  "libc-bin",
  "libgcc-s1",
  "libstdc++6",
  "mount",
  "procps",
  "sed",
  "tar",
  "util-linux",
  "zstd"
] as const

const files: Readonly<Record<string, string>> = {
  "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:101::/nonexistent:/usr/sbin/nologin\n"
    + "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
  "etc/group": "root:x:0:\nmessagebus:x:101:\nnogroup:x:65534:\n",
  "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
  "etc/hostname": "lab\n",
  "etc/fstab": "",
  // one that is there: a first boot would enable every unit
  "etc/machine-id": "8d4f1c7be05a4c0d9e3a61b2c7f0d915\n"
}

/** Not needed to be a machine on which services run, and slow to start. */
const masked = ["console-getty.service", "getty.target", "systemd-logind.service", "systemd-journal-flush.service"]

const script = `#!/bin/sh
set -e
cd "$1"
for name in bin sbin lib lib64; do mkdir -p usr/$name; ln -s usr/$name $name; done
mkdir -p etc/systemd/system root proc sys dev run tmp var/lib
chmod 1777 tmp
ln -s ../run var/run
`

const linked = `#!/bin/sh
set -e
cd "$1"
ln -sf /lib/systemd/system/multi-user.target etc/systemd/system/default.target
for unit in ${masked.join(" ")}; do ln -sf /dev/null etc/systemd/system/$unit; done
# the package's script makes this link
test -e usr/bin/sh || ln -s dash usr/bin/sh
chroot . /usr/bin/systemd-sysusers
chroot . /lib/systemd/systemd --version
`

const build = Effect.fnUntraced(function*(root: string) {
  const debs = `${root}.debs`
  yield* attempt(root, () => Fs.mkdir(root).then(() => Fs.mkdir(debs)))
  yield* execute(["sh", "-c", script, "sh", root])
  yield* unpack(yield* withDependencies(packages, () => true, debs), root)
  yield* attempt(root, async () => {
    for (const [path, text] of Object.entries(files)) await Fs.writeFile(Path.join(root, path), text)
  })
  yield* execute(["sh", "-c", linked, "sh", root])
  yield* execute(["rm", "-rf", debs])
})

const edition = Crypto.createHash("sha256").update(
  [...packages, ...masked, script, linked, JSON.stringify(files)].join()
)

/** The directory of the tree, which nobody may change; made at the first time, in some seconds. */
export const tree = cached(`lab-systemd-${edition.digest("hex").slice(0, 8)}`, build)
