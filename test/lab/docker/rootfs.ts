/**
 * The file systems of the images, made from this machine's Debian packages.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { attempt, execute, LabError } from "../postgresInstall.ts"
import { unpack, withDependencies } from "./apt.ts"

const busybox = Effect.gen(function*() {
  const path = yield* execute(["sh", "-c", "PATH=$PATH:/bin:/usr/bin command -v busybox"]).pipe(
    Effect.mapError(() => new LabError({ message: "busybox was not found; install the Debian package busybox-static" }))
  )
  return { path: path.trim(), applets: (yield* execute([path.trim(), "--list"])).trim().split("\n") }
})

const accounts = {
  passwd: "root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n",
  group: "root:x:0:\npostgres:x:999:\n"
}

const directories = ["bin", "sbin", "lib", "lib64"]

/** The directories of a merged /usr, the accounts, and busybox with those of its applets that are not there. */
const skeleton = (root: string) =>
  attempt(root, async () => {
    for (const name of directories) {
      await Fs.mkdir(Path.join(root, "usr", name), { recursive: true })
      await Fs.symlink(`usr/${name}`, Path.join(root, name))
    }
    for (const name of ["etc", "root", "proc", "sys", "dev", "data", "run", "var/lib"]) {
      await Fs.mkdir(Path.join(root, name), { recursive: true })
    }
    await Fs.symlink("../run", Path.join(root, "var/run"))
    await Fs.mkdir(Path.join(root, "tmp"))
    await Fs.chmod(Path.join(root, "tmp"), 0o1777)
    await Fs.writeFile(Path.join(root, "etc/passwd"), accounts.passwd)
    await Fs.writeFile(Path.join(root, "etc/group"), accounts.group)
  })

const addBusybox = (root: string) =>
  Effect.gen(function*() {
    const { applets, path } = yield* busybox
    const bin = Path.join(root, "usr/bin")
    yield* attempt(bin, async () => {
      await Fs.copyFile(path, Path.join(bin, "busybox"))
      const there = new Set([...await Fs.readdir(bin), ...await Fs.readdir(Path.join(root, "usr/sbin"))])
      for (const applet of applets.filter((name) => !there.has(name))) {
        await Fs.symlink("busybox", Path.join(bin, applet))
      }
    })
    yield* execute(["chroot", root, "/bin/busybox", "true"]).pipe(
      Effect.mapError(() =>
        new LabError({ message: `${path} is not a static one; install the Debian package busybox-static` })
      )
    )
  })

/** A shell and the usual small tools. */
export const bb = Effect.fn("Rootfs.bb")(function*(root: string) {
  yield* skeleton(root)
  yield* addBusybox(root)
})

const large = /^lib(llvm|z3|perl|gdbm|python|c-l10n|.*-perl$)/
const wanted = (name: string) => /^(lib|zlib|tzdata$|postgresql-(client-)?\d)/.test(name) && !large.test(name)

/** Does what the entrypoint of the official image does, as far as tests need it. */
export const entrypoint = `#!/bin/sh
set -e
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /var/run/postgresql
  chmod 700 "$PGDATA"
  [ "$(stat -c %u "$PGDATA")" = 999 ] || chown -R postgres:postgres "$PGDATA"
  chown postgres:postgres /var/run/postgresql
  exec su -s /bin/sh postgres -c 'exec "$0" "$@"' -- "$0" "$@"
fi
export PATH="$(echo /usr/lib/postgresql/*/bin):$PATH"
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb -D "$PGDATA" -U postgres -A trust -E UTF8 --no-locale > /dev/null
  # a container on the network of the host must not be seen from outside
  echo "listen_addresses = '127.0.0.1'" >> "$PGDATA/postgresql.conf"
  echo "unix_socket_directories = '/var/run/postgresql'" >> "$PGDATA/postgresql.conf"
fi
exec "$@"
`

/** PostgreSQL, the newest of this machine's Debian, with its clients. */
export const pg = Effect.fn("Rootfs.pg")(function*(root: string) {
  const debs = `${root}.debs`
  yield* attempt(debs, () => Fs.mkdir(debs))
  const files = yield* withDependencies(["postgresql"], wanted, debs)
  yield* skeleton(root)
  yield* unpack(files, root)
  yield* addBusybox(root)
  const programs = yield* attempt(root, async () => {
    await Fs.rm(debs, { recursive: true })
    const versions = Path.join(root, "usr/lib/postgresql")
    const [version = ""] = await Fs.readdir(versions)
    // for a JIT whose library is left out
    const unused = ["bitcode", "llvmjit.so"].map((name) => Path.join(versions, version, "lib", name))
    for (const path of unused) await Fs.rm(path, { recursive: true, force: true })
    await Fs.writeFile(Path.join(root, "usr/bin/docker-entrypoint.sh"), entrypoint, { mode: 0o755 })
    const bin = Path.join("/usr/lib/postgresql", version, "bin")
    for (const program of await Fs.readdir(Path.join(root, bin))) {
      await Fs.rm(Path.join(root, "usr/bin", program), { force: true })
      await Fs.symlink(Path.join(bin, program), Path.join(root, "usr/bin", program))
    }
    return ["postgres", "initdb", "psql", "pg_isready", "pgbench"]
  })
  for (const program of programs) yield* execute(["chroot", root, `/usr/bin/${program}`, "--version"])
})
