/**
 * Small images, made here and kept as the archive that `docker save` would write.
 */
import { Effect } from "effect"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { pipeline } from "node:stream/promises"
import { attempt, execute, LabError } from "../postgresInstall.ts"
import { cached } from "./cache.ts"
import type { Engine } from "./engine.ts"
import * as Rootfs from "./rootfs.ts"

/** `bb`: busybox. `pg`: PostgreSQL, behaving like the official image. */
export type Image = "bb" | "pg"

/** What an engine calls it: nothing that an engine of somebody else may have already. */
export const imageName = (image: Image): string => `quiesce-lab/${image}:latest`

const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const recipes = {
  bb: { rootfs: Rootfs.bb, config: { Env: [path], Cmd: ["sh"] } },
  pg: {
    rootfs: Rootfs.pg,
    config: {
      Env: [path, "PGDATA=/var/lib/postgresql/data"],
      Entrypoint: ["docker-entrypoint.sh"],
      Cmd: ["postgres"],
      StopSignal: "SIGINT",
      ExposedPorts: { "5432/tcp": {} },
      Volumes: { "/var/lib/postgresql/data": {} }
    }
  }
} as const

/** To be raised when what is in an image changes in a way that its hash does not show: no old one is to be taken. */
const edition = 4

const hash = (...texts: ReadonlyArray<string>) => Crypto.createHash("sha256").update(texts.join("\n")).digest("hex")

const digest = (file: string) =>
  attempt(file, async () => {
    const hash = Crypto.createHash("sha256")
    await pipeline(Fs.createReadStream(file), hash)
    return hash.digest("hex")
  })

const tar = (directory: string, file: string, ...names: ReadonlyArray<string>) =>
  execute(["tar", "-c", "--numeric-owner", "--sort=name", "-C", directory, "-f", file, ...names])

const build = (name: Image, target: string) =>
  Effect.gen(function*() {
    const { config, rootfs } = recipes[name]
    const root = `${target}.root`
    const content = `${target}.content`
    yield* attempt(content, () => Fs.promises.mkdir(root).then(() => Fs.promises.mkdir(content)))
    yield* rootfs(root)
    yield* tar(root, Path.join(content, "layer.tar"), ".")
    const image = JSON.stringify({
      architecture: process.arch === "x64" ? "amd64" : process.arch,
      os: "linux",
      created: "2020-01-01T00:00:00Z",
      config,
      rootfs: { type: "layers", diff_ids: [`sha256:${yield* digest(Path.join(content, "layer.tar"))}`] },
      history: [{ created: "2020-01-01T00:00:00Z", created_by: "the lab of quiesce" }]
    })
    const id = hash(image)
    const manifest = [{ Config: `${id}.json`, RepoTags: [imageName(name)], Layers: ["layer.tar"] }]
    yield* attempt(content, async () => {
      await Fs.promises.writeFile(Path.join(content, `${id}.json`), image)
      await Fs.promises.writeFile(Path.join(content, "manifest.json"), JSON.stringify(manifest))
    })
    yield* tar(content, target, "manifest.json", `${id}.json`, "layer.tar")
  })

/** The archive of the image; made at the first time, in some seconds. */
export const archive = (name: Image): Effect.Effect<string, LabError> => {
  const version = hash(String(edition), Rootfs.entrypoint, JSON.stringify(recipes[name].config)).slice(0, 8)
  return cached(`lab-image-${name}-${version}.tar`, (target) => build(name, target))
}

/** Loads the images that the engine does not have. */
export const images = Effect.fn("Lab.images")(function*(engine: Engine, names: ReadonlyArray<Image>) {
  for (const name of names) {
    if ((yield* engine.request("GET", `/images/${imageName(name)}/json`)).status === 200) continue
    const file = yield* archive(name)
    const stream = yield* attempt(file, async () => Fs.createReadStream(file))
    const answer = yield* engine.call("POST", "/images/load?quiet=1", [200], stream)
    // a failure comes in the body
    if (answer.text.includes("\"error\"")) return yield* new LabError({ message: `the image ${name}: ${answer.text}` })
  }
})
