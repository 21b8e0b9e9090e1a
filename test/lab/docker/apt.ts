/**
 * Debian packages as files, from where this machine's apt gets its own; nothing is installed.
 */
import { Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { type Argv, attempt, execute, LabError } from "../postgresInstall.ts"

/** Runs `apt-get` or `apt-cache` with the lists of one origin. */
type Apt = (argv: Argv, cwd?: string) => Effect.Effect<string, LabError>

const withOptions = (options: ReadonlyArray<string>): Apt => ([program, ...args], cwd) =>
  execute(
    [
      program,
      "-qq",
      ...[...options, "APT::Sandbox::User=root", "Debug::NoLocking=1"].flatMap((o) => ["-o", o]),
      ...args
    ],
    { cwd, timeout: "300 seconds", env: { LC_ALL: "C.UTF-8" } }
  ).pipe(Effect.mapError((error) => new LabError({ message: `${error.message}\n(needs apt and a package mirror)` })))

/** As the machine is set up, with the lists that it has. */
const ofMachine = withOptions([])

/** New lists, below `state`, of the machine's sources or of those that the options name. */
const updated = Effect.fnUntraced(function*(state: string, options: ReadonlyArray<string> = []) {
  yield* attempt(state, async () => {
    await Fs.mkdir(`${state}/lists/partial`, { recursive: true })
    await Fs.mkdir(`${state}/cache/archives/partial`, { recursive: true })
    await Fs.writeFile(`${state}/status`, "")
  })
  const all = [
    `Dir::State::lists=${state}/lists`,
    `Dir::State::status=${state}/status`,
    `Dir::Cache=${state}/cache`,
    ...options
  ]
  yield* withOptions(all)(["apt-get", "update"])
  return withOptions(all)
})

/** The URI of Debian's archive and its keyring, as the machine's sources name them. */
const archive = Effect.gen(function*() {
  const release = yield* attempt("/etc/os-release", () => Fs.readFile("/etc/os-release", "utf8"))
  const codename = /^VERSION_CODENAME=(.*)$/m.exec(release)?.[1]
  const format = "$(RELEASE) $(COMPONENT) $(REPO_URI) $(SIGNED_BY)"
  // also those whose lists are not there
  const targets = yield* ofMachine(["apt-get", "indextargets", "--no-release-info", "--format", format])
  const [, , uri, keyring] = targets.split("\n").find((line) => line.startsWith(`${codename} main `))?.split(" ") ?? []
  if (uri === undefined) return yield* new LabError({ message: `apt has no source for Debian '${codename}' main` })
  // an apt that does not know the last field prints its name
  return { uri, keyring: keyring?.startsWith("/") ? keyring : "/usr/share/keyrings/debian-archive-keyring.gpg" }
})

/** Another suite of the machine's archive. */
const ofSuite = Effect.fnUntraced(function*(suite: string, state: string) {
  const { keyring, uri } = yield* archive
  const sources = Path.join(state, "sources.list")
  yield* attempt(sources, async () => {
    await Fs.mkdir(state)
    await Fs.writeFile(sources, `deb [signed-by=${keyring}] ${uri} ${suite} main\n`)
  })
  return yield* updated(state, [`Dir::Etc::sourcelist=${sources}`, "Dir::Etc::sourceparts=/dev/null"])
})

const debsIn = (directory: string) =>
  attempt(
    directory,
    async () =>
      (await Fs.readdir(directory)).filter((name) => name.endsWith(".deb")).map((name) => Path.join(directory, name))
  )

/** These packages of another Debian suite, without what they depend on; the files lie in `directory`. */
export const fromSuite = Effect.fn("Apt.fromSuite")(function*(
  suite: string,
  packages: ReadonlyArray<string>,
  directory: string
) {
  const apt = yield* ofSuite(suite, Path.join(directory, "apt"))
  yield* apt(["apt-get", "download", ...packages], directory)
  return yield* debsIn(directory)
})

/** These packages and all that they depend on, of the machine's suite, if `wanted`; the files lie in `directory`. */
export const withDependencies = Effect.fn("Apt.withDependencies")(function*(
  names: readonly [string, ...ReadonlyArray<string>],
  wanted: (name: string) => boolean,
  directory: string
) {
  // as if nothing were installed and nothing downloaded: then the whole closure is listed
  const empty = Path.join(directory, "empty")
  yield* attempt(empty, async () => {
    await Fs.mkdir(Path.join(empty, "archives", "partial"), { recursive: true })
    await Fs.writeFile(Path.join(empty, "status"), "")
  })
  const nothing = ["-o", `Dir::State::status=${empty}/status`, "-o", `Dir::Cache=${empty}`]
  const download = (apt: Apt) =>
    Effect.gen(function*() {
      const uris = yield* apt([
        "apt-get",
        ...nothing,
        "--no-install-recommends",
        "--print-uris",
        "-y",
        "install",
        ...names
      ])
      const files = [...uris.matchAll(/^'[^']+' (\S+)_(\S+)_\w+\.deb /gm)]
      const packages = files.filter(([, name = ""]) => wanted(name))
        .map(([, name, version = ""]) => `${name}=${decodeURIComponent(version)}`)
      if (packages.length === 0) return yield* new LabError({ message: `apt knows no package '${names[0]}'` })
      yield* apt(["apt-get", "download", ...packages], directory)
    })
  // without lists, or with old ones
  yield* Effect.catchAll(download(ofMachine), () => Effect.flatMap(updated(Path.join(directory, "apt")), download))
  return yield* debsIn(directory)
})

const unpackScript = `set -e
into=$1; shift
for deb; do
  dpkg-deb --fsys-tarfile "$deb" > "$into.tar"
  tar -x -C "$into" --keep-directory-symlink --exclude='./usr/share/doc' --exclude='./usr/share/man' \\
    --exclude='./usr/share/locale' -f "$into.tar"
done
rm -f "$into.tar"`

/** Unpacks packages, without their manuals, into a directory. Their scripts are not run. */
export const unpack = (debs: ReadonlyArray<string>, into: string): Effect.Effect<void, LabError> =>
  Effect.asVoid(execute(["sh", "-c", unpackScript, "sh", into, ...debs]))
