import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"

const Words = Schema.Record({ key: Schema.String, value: Schema.String })
const optional = Schema.optionalWith(Words, { default: () => ({}) })

const Manifest = Schema.parseJson(Schema.Struct({
  scripts: optional,
  dependencies: optional,
  devDependencies: optional,
  overrides: optional,
  peerDependencies: optional
}))

const Locked = Schema.Struct({
  version: Schema.optional(Schema.String),
  integrity: Schema.optional(Schema.String),
  license: Schema.optional(Schema.String),
  os: Schema.optional(Schema.Array(Schema.String)),
  optional: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  dev: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  devOptional: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  hasInstallScript: Schema.optionalWith(Schema.Boolean, { default: () => false })
})

const Lockfile = Schema.parseJson(Schema.Struct({ packages: Schema.Record({ key: Schema.String, value: Locked }) }))

const read = (file: string) => Fs.readFileSync(file, "utf8")
const manifest = Schema.decodeSync(Manifest)(read("package.json"))
const { packages } = Schema.decodeSync(Lockfile)(read("package-lock.json"))
const locked = Object.entries(packages).filter(([place]) => place !== "")

const sources = Fs.readdirSync("src", { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"))

/** What is there and known. What is new must be looked at first. */
const known = {
  // native parts of dependencies of @effect/platform-node; all works without them, and nothing here uses them
  scripts: ["node_modules/@parcel/watcher", "node_modules/msgpackr-extract"],
  // the checksum of a marker is no secret
  compared: ["src/layers/MarkerStoreFileCodec.ts"]
}

/** The lines of the sources that have this in them, but for comments. */
const saying = (shape: RegExp) =>
  sources.flatMap((file) =>
    read(Path.join("src", file)).split("\n").flatMap((line, index) =>
      !/^\s*(\/\/|\/?\*)/.test(line) && shape.test(line) ? [`src/${file}:${index + 1}: ${line.trim()}`] : []
    )
  )

describe("what this package is made of", () => {
  it("is at most five direct dependencies, each of one exact version", () => {
    assert.isAtMost(Object.keys(manifest.dependencies).length, 5)
    for (const group of [manifest.dependencies, manifest.devDependencies, manifest.overrides]) {
      for (const [name, version] of Object.entries(group)) {
        assert.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, name)
      }
    }
  })

  it("runs nothing when it is installed", () => {
    const ofInstall = /^(?:pre|post)?(?:install|prepare|publish)$/
    assert.deepStrictEqual(Object.keys(manifest.scripts).filter((name) => ofInstall.test(name)), [])
    assert.match(read(".npmrc"), /^ignore-scripts=true$/m)
    // for who installs this package without that setting
    const running = locked.filter(([, { dev, devOptional, hasInstallScript }]) =>
      hasInstallScript && !dev && !devOptional
    )
    assert.deepStrictEqual(running.map(([place]) => place), known.scripts)
  })

  it("is locked, each package with its checksum, and to no place", () => {
    assert.notMatch(read("package-lock.json"), /"resolved"/)
    for (const [place, { dev, integrity, optional, os, version }] of locked) {
      assert.match(version ?? "", /^\d+\.\d+\.\d+/, place)
      // npm knows none of those tools of development that are for another platform than that of the lockfile
      if (integrity !== undefined || !(dev && optional && os !== undefined)) {
        assert.match(integrity ?? "", /^sha512-/, place)
      }
    }
  })

  it("has licences that let it be used", () => {
    const free =
      /^\(?(MIT|ISC|Apache-2\.0|BSD-2-Clause|BSD-3-Clause|0BSD|BlueOak-1\.0\.0|CC0-1\.0|Unlicense|Python-2\.0|MPL-2\.0)\b/
    const shipped = locked.filter(([, { dev, devOptional }]) => !dev && !devOptional)
    assert.isAbove(shipped.length, 0)
    assert.deepStrictEqual(shipped.filter(([, { license = "" }]) => !free.test(license)).map(([place]) => place), [])
  })

  it("can be written down as a bill of materials", () => {
    const sbom = execFileSync("npm", ["sbom", "--sbom-format", "cyclonedx", "--package-lock-only"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"]
    })
    const { components } = Schema.decodeSync(Schema.parseJson(Schema.Struct({
      components: Schema.Array(Schema.Struct({ name: Schema.String, version: Schema.String }))
    })))(sbom)
    for (const [name, version] of Object.entries(manifest.dependencies)) {
      // a component may have its scope apart from its name
      const found = components.filter((one) => name === one.name || name.endsWith(`/${one.name}`))
      assert.deepStrictEqual(found.map((one) => one.version), [version], name)
    }
  }, 60_000)
})

describe("the sources", () => {
  it("start no shell, and no program but by its words", () => {
    assert.deepStrictEqual(saying(/\bshell:/), [])
    assert.deepStrictEqual(
      saying(/\b(?:exec|execSync|execFileSync)\(\s*["'`]|\bChildProcess\.exec(?:Sync|FileSync)?\b/),
      []
    )
  })

  it("compare no secret byte by byte", () => {
    // whether there is one may be asked: with `undefined`, or with nothing
    const comparing =
      /\b(?:secret|token|digest|sha256|password)\)? [!=]== (?!undefined\b|"")|[!=]== (?:secret|token|digest|password)\b/i
    assert.deepStrictEqual(saying(comparing).map((place) => place.split(":")[0]), known.compared)
  })

  it("run no text as code", () => {
    assert.deepStrictEqual(saying(/\beval\(|\bnew Function\(|\bvm\./), [])
  })
})
