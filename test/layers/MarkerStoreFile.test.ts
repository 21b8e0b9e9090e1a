import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { MarkerNote, StoredMarker } from "../../src/domain/Marker.ts"
import { StackName, UnitId } from "../../src/domain/Stack.ts"
import * as MarkerStoreFile from "../../src/layers/MarkerStoreFile.ts"
import { MarkerStore } from "../../src/services/MarkerStore.ts"
import { live } from "../support/live.ts"
import { tempDir } from "./fixtures/support.ts"
import { draft } from "./fixtures/markers.ts"

const storeOf = (stateDir: string) => MarkerStore.pipe(Effect.provide(MarkerStoreFile.layer({ stateDir })))

const sandbox = Effect.gen(function*() {
  const stateDir = Path.join(yield* tempDir, "state ü\n")
  const store = yield* storeOf(stateDir)
  const directory = Path.join(stateDir, "markers")
  const file = (n: number, kind: "json" | "copy.json" | "notes") => Path.join(directory, `${draft(n).runId}.${kind}`)
  return { stateDir, store, directory, file }
})

const noteOf = (state: MarkerNote["state"]): MarkerNote => ({
  stack: StackName.make("app"),
  unit: UnitId.make("app"),
  state
})

const readable = (found: StoredMarker | undefined) => {
  assert.strictEqual(found?._tag, "Readable")
  return found as StoredMarker & { readonly _tag: "Readable" }
}

const damaged = (found: StoredMarker | undefined) => {
  assert.strictEqual(found?._tag, "Damaged")
  return found as StoredMarker & { readonly _tag: "Damaged" }
}

/** What a file would be with other content and a checksum that is right. */
const resealed = (path: string, change: (content: Record<string, unknown>) => void): string => {
  const { sha256: _, ...content } = JSON.parse(Fs.readFileSync(path, "utf8"))
  change(content)
  const sha256 = Crypto.createHash("sha256").update(JSON.stringify(content)).digest("hex")
  return JSON.stringify({ ...content, sha256 })
}

describe("MarkerStoreFile", () => {
  live("writes, notes, lists and clears", [], () =>
    Effect.gen(function*() {
      const { directory, file, store } = yield* sandbox
      assert.deepStrictEqual(yield* store.list, [])
      assert.isFalse(Fs.existsSync(directory))
      yield* store.check
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
      yield* store.write(draft(2))
      yield* store.write(draft(1))
      for (const state of ["stopping", "stopped", "running"] as const) yield* store.note(draft(1).runId, noteOf(state))
      assert.strictEqual(Fs.statSync(directory).mode & 0o7777, 0o700)
      for (const kind of ["json", "copy.json", "notes"] as const) {
        assert.strictEqual(Fs.statSync(file(1, kind)).mode & 0o7777, 0o600)
      }
      const [first, second] = (yield* store.list).map(readable)
      assert.deepStrictEqual(first, {
        _tag: "Readable",
        name: draft(1).runId,
        marker: draft(1),
        notes: [noteOf("stopping"), noteOf("stopped"), noteOf("running")]
      })
      assert.deepStrictEqual(second?.marker, draft(2))
      yield* store.clear(draft(1).runId)
      yield* store.clear(draft(1).runId)
      assert.deepStrictEqual((yield* store.list).map(({ name }) => name), [draft(2).runId])
      yield* store.clear(draft(2).runId)
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
    }))

  live("says which boot of which machine wrote it, and its version", [], () =>
    Effect.gen(function*() {
      const { file, store } = yield* sandbox
      yield* store.write(draft(1))
      const content = JSON.parse(Fs.readFileSync(file(1, "json"), "utf8"))
      assert.strictEqual(content.version, 1)
      assert.match(content.bootId, /^[0-9a-f-]{36}$/)
      assert.isString(content.machineId)
      assert.strictEqual(Fs.readFileSync(file(1, "copy.json"), "utf8"), Fs.readFileSync(file(1, "json"), "utf8"))
    }))

  live("reads the second copy when the first is damaged in any way", [], () =>
    Effect.gen(function*() {
      const { file, store } = yield* sandbox
      yield* store.write(draft(1))
      yield* store.note(draft(1).runId, noteOf("stopping"))
      const good = Fs.readFileSync(file(1, "json"), "utf8")
      const damages: ReadonlyArray<readonly [RegExp, () => void]> = [
        [/empty/, () => Fs.writeFileSync(file(1, "json"), "")],
        [/torn/, () => Fs.writeFileSync(file(1, "json"), good.slice(0, good.length / 2))],
        [/torn/, () => Fs.writeFileSync(file(1, "json"), "\0".repeat(4096))],
        [/torn/, () => Fs.writeFileSync(file(1, "json"), "[]")],
        [/checksum/, () => Fs.writeFileSync(file(1, "json"), good.replace("2000", "2001"))],
        [/checksum/, () => Fs.writeFileSync(file(1, "json"), good.replace(/"sha256": "\w+"/, "\"sha256\": null"))],
        [/version/, () => Fs.writeFileSync(file(1, "json"), "{}")],
        [/version/, () => Fs.writeFileSync(file(1, "json"), "{\"version\":0}")],
        [/missing/, () => Fs.rmSync(file(1, "json"))],
        [/symbolic link/, () => Fs.symlinkSync(file(1, "copy.json"), file(1, "json"))],
        [/EISDIR/, () => {
          Fs.rmSync(file(1, "json"))
          Fs.mkdirSync(file(1, "json"))
        }]
      ]
      for (const [why, damage] of damages) {
        damage()
        const found = readable((yield* store.list)[0])
        assert.deepStrictEqual(found.marker, draft(1))
        assert.deepStrictEqual(found.notes, [noteOf("stopping")])
        assert.match(found.warning ?? "", why)
      }
      Fs.rmdirSync(file(1, "json"))
      Fs.writeFileSync(file(1, "json"), good)
      Fs.writeFileSync(file(1, "copy.json"), "")
      assert.deepStrictEqual(readable((yield* store.list)[0]).marker, draft(1))
    }))

  live("a truncation at any byte is noticed", [], () =>
    Effect.gen(function*() {
      const { file, store } = yield* sandbox
      yield* store.write(draft(1))
      const good = Fs.readFileSync(file(1, "json"))
      Fs.rmSync(file(1, "copy.json"))
      // the last byte is only the newline
      for (let size = 0; size < good.length - 1; size += 7) {
        Fs.writeFileSync(file(1, "json"), good.subarray(0, size))
        damaged((yield* store.list)[0])
      }
      Fs.writeFileSync(file(1, "json"), good.subarray(0, good.length - 1))
      readable((yield* store.list)[0])
    }))

  live(
    "both copies damaged: damaged, with the reason; put aside, it is listed no more and nothing is lost",
    [],
    () =>
      Effect.gen(function*() {
        const { directory, file, stateDir, store } = yield* sandbox
        for (const round of [1, 2]) {
          yield* store.write(draft(1))
          yield* store.write(draft(2))
          Fs.writeFileSync(file(1, "json"), `broken ${round}`)
          Fs.writeFileSync(file(1, "copy.json"), "")
          const [first, second] = yield* store.list
          assert.strictEqual(damaged(first).name, draft(1).runId)
          assert.match(damaged(first).reason, /markers.*json: .*torn.*; its second copy: it is empty/s)
          readable(second)
          yield* store.quarantine(draft(1).runId)
          assert.deepStrictEqual((yield* store.list).map(({ name }) => name), [draft(2).runId])
          assert.isFalse(Fs.readdirSync(directory).some((name) => name.startsWith(draft(1).runId)))
        }
        const aside = Path.join(stateDir, "damaged")
        assert.strictEqual(Fs.readFileSync(Path.join(aside, `${draft(1).runId}.json`), "utf8"), "broken 1")
        assert.strictEqual(Fs.readFileSync(Path.join(aside, `${draft(1).runId}.json.1`), "utf8"), "broken 2")
        assert.strictEqual(Fs.readdirSync(aside).length, 6)
      })
  )

  live(
    "a marker whose content its schema does not allow, or of another run, is damaged",
    [],
    () =>
      Effect.gen(function*() {
        const { file, store } = yield* sandbox
        yield* store.write(draft(1))
        const original = Fs.readFileSync(file(1, "json"))
        const reasonAfter = (change: (content: Record<string, unknown>) => void) =>
          Effect.gen(function*() {
            Fs.writeFileSync(file(1, "json"), original)
            const text = resealed(file(1, "json"), change)
            for (const kind of ["json", "copy.json"] as const) Fs.writeFileSync(file(1, kind), text)
            return damaged((yield* store.list)[0]).reason
          })
        assert.match(yield* reasonAfter((content) => delete content["stacks"]), /stacks: is missing/)
        assert.match(yield* reasonAfter((content) => content["stacks"] = [{ stack: "../evil" }]), /stacks\.0/)
        assert.match(yield* reasonAfter((content) => content["runId"] = draft(2).runId), /under another name/)
      })
  )

  live("unknown fields are kept out", [], () =>
    Effect.gen(function*() {
      const { file, store } = yield* sandbox
      yield* store.write(draft(1))
      Fs.writeFileSync(file(1, "json"), resealed(file(1, "json"), (content) => content["extra"] = "evil"))
      assert.deepStrictEqual(readable((yield* store.list)[0]), {
        _tag: "Readable",
        name: draft(1).runId,
        marker: draft(1),
        notes: []
      })
    }))

  live(
    "the core of a later version is readable, with a warning; without it the marker is damaged",
    [],
    () =>
      Effect.gen(function*() {
        const { file, store } = yield* sandbox
        yield* store.write(draft(1))
        Fs.rmSync(file(1, "copy.json"))
        const future = {
          version: 7,
          runId: draft(1).runId,
          hologram: true,
          stacks: [{ stack: "app", control: "command", mood: "good", units: [{ id: "app", startTimeoutMs: "PT5S" }] }]
        }
        Fs.writeFileSync(file(1, "json"), JSON.stringify(future))
        const found = readable((yield* store.list)[0])
        assert.match(found.warning ?? "", /later version .*marker version 7/)
        assert.deepStrictEqual(found.marker.stacks[0]?.units, [
          { id: UnitId.make("app"), stopTimeoutMs: 60_000, startTimeoutMs: 60_000, identity: {} }
        ])
        Fs.writeFileSync(file(1, "json"), JSON.stringify({ ...future, stacks: "elsewhere" }))
        assert.match(damaged((yield* store.list)[0]).reason, /version 7, and not even its core/)
      })
  )

  live("notes: what is torn is no note, and the next note stands alone", [], () =>
    Effect.gen(function*() {
      const { file, store } = yield* sandbox
      yield* store.write(draft(1))
      yield* store.note(draft(1).runId, noteOf("stopping"))
      Fs.appendFileSync(file(1, "notes"), "\n{\"stack\":\"app\",\"unit\":\"ap")
      assert.deepStrictEqual(readable((yield* store.list)[0]).notes, [noteOf("stopping")])
      yield* store.note(draft(1).runId, noteOf("running"))
      assert.deepStrictEqual(readable((yield* store.list)[0]).notes, [noteOf("stopping"), noteOf("running")])
      Fs.rmSync(file(1, "notes"))
      assert.deepStrictEqual(readable((yield* store.list)[0]).notes, [])
      yield* store.note(draft(1).runId, noteOf("stopped"))
      assert.deepStrictEqual(readable((yield* store.list)[0]).notes, [noteOf("stopped")])
    }))

  live("notes of several stacks at the same time all arrive", [], () =>
    Effect.gen(function*() {
      const { store } = yield* sandbox
      yield* store.write(draft(1))
      const units = Array.from({ length: 50 }, (_, n) => UnitId.make(`unit ${n}`))
      yield* Effect.forEach(units, (unit) => store.note(draft(1).runId, { ...noteOf("stopped"), unit }), {
        concurrency: "unbounded"
      })
      const notes = readable((yield* store.list)[0]).notes
      assert.sameMembers(notes.map(({ unit }) => unit), units)
    }))

  live("what a dead process left is no marker, and the next clear takes it away", [], () =>
    Effect.gen(function*() {
      const { directory, file, store } = yield* sandbox
      yield* store.write(draft(1))
      Fs.writeFileSync(`${file(2, "json")}.tmp`, "half")
      Fs.writeFileSync(file(3, "notes"), "")
      Fs.writeFileSync(Path.join(directory, ".probe-1"), "")
      Fs.mkdirSync(Path.join(directory, "strange.tmp"))
      assert.deepStrictEqual((yield* store.list).map(({ name }) => name), [draft(1).runId])
      // a stale temporary file is not in the way
      yield* store.write(draft(2))
      yield* store.clear(draft(1).runId)
      assert.sameMembers(Fs.readdirSync(directory), [
        "strange.tmp",
        ...["json", "copy.json", "notes"].map((kind) => `${draft(2).runId}.${kind}`)
      ])
    }))

  live("a name is not a path", [], () =>
    Effect.gen(function*() {
      const { stateDir, store } = yield* sandbox
      yield* store.check
      Fs.writeFileSync(Path.join(stateDir, "victim.json"), "precious")
      for (const name of ["../victim", "..", ".", "", "a/b", "nul\0"]) {
        assert.strictEqual((yield* Effect.flip(store.clear(name))).operation, "clear")
        assert.strictEqual((yield* Effect.flip(store.quarantine(name))).operation, "quarantine")
      }
      assert.isTrue(Fs.existsSync(Path.join(stateDir, "victim.json")))
    }))
})
