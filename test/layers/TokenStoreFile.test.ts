import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Either, Layer, Logger, Option, Redacted, TestClock } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as TokenStoreFile from "../../src/layers/TokenStoreFile.ts"
import { TokenStore } from "../../src/services/TokenStore.ts"
import { tempDir } from "./fixtures/support.ts"

const storeAt = (stateDir: string) =>
  Effect.flatMap(Layer.build(TokenStoreFile.layer({ stateDir })), (context) => Effect.provide(TokenStore, context))

const setUp = Effect.gen(function*() {
  const stateDir = Path.join(yield* tempDir, "state")
  return { stateDir, store: yield* storeAt(stateDir) }
})

const quiet = Effect.provide(Logger.remove(Logger.defaultLogger))

const verified = (store: TokenStore["Type"], token: Redacted.Redacted<string>) =>
  Effect.map(store.verify(token), Option.getOrUndefined)

describe("TokenStoreFile", () => {
  it.scoped("a token names its guest, has 256 bits, and is not in its file", () =>
    Effect.gen(function*() {
      const { stateDir, store } = yield* setUp
      const token = yield* store.make("web1")
      const text = Redacted.value(token)
      assert.match(text, /^web1~[A-Za-z0-9_-]{43}$/)
      assert.notStrictEqual(text, Redacted.value(yield* store.make("web1")))
      assert.strictEqual(yield* verified(store, token), "web1")
      const file = Path.join(stateDir, "tokens", "web1.json")
      assert.strictEqual(Fs.statSync(file).mode & 0o777, 0o600)
      assert.strictEqual(Fs.statSync(Path.dirname(file)).mode & 0o777, 0o700)
      const secret = text.split("~")[1] ?? ""
      const kept = Fs.readFileSync(file, "utf8")
      assert.notInclude(kept, secret)
      assert.notInclude(kept, Buffer.from(secret, "base64url").toString("hex"))
    }))

  it.scoped("nothing but the whole token is one", () =>
    Effect.gen(function*() {
      const { store } = yield* setUp
      const token = Redacted.value(yield* store.make("web1"))
      const other = Redacted.value(yield* store.make("db1"))
      const [guest = "", secret = ""] = token.split("~")
      const wrong = [
        "",
        "~",
        guest,
        `${guest}~`,
        secret,
        `~${secret}`,
        `db1~${secret}`,
        `${guest}~${other.split("~")[1]}`,
        `nobody~${secret}`,
        `../tokens/web1~${secret}`,
        `${token} `,
        ` ${token}`,
        `${token}~`,
        token.slice(0, -1),
        token.toUpperCase(),
        `${guest}~${"A".repeat(43)}`
      ]
      for (const text of wrong) {
        assert.isUndefined(yield* verified(store, Redacted.make(text)), JSON.stringify(text))
      }
      assert.strictEqual(yield* verified(store, Redacted.make(token)), "web1")
    }))

  it.scoped("two are good at once: a third makes the oldest worthless", () =>
    Effect.gen(function*() {
      const { store } = yield* setUp
      const tokens = yield* Effect.forEach(
        [1, 2, 3],
        () => Effect.zipLeft(store.make("web1"), TestClock.adjust("1 minute"))
      )
      const good = yield* Effect.forEach(tokens, (token) => verified(store, token))
      assert.deepStrictEqual(good, [undefined, "web1", "web1"])
      assert.deepStrictEqual(
        (yield* store.list("web1")).map(({ created }) => DateTime.toEpochMillis(created)),
        [60_000, 120_000]
      )
    }))

  it.scoped("an expired one is worthless, and takes no place", () =>
    Effect.gen(function*() {
      const { store } = yield* setUp
      const lasting = yield* store.make("web1")
      const short = yield* store.make("web1", { expiresIn: Duration.hours(1) })
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual(yield* verified(store, short), "web1")
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(yield* verified(store, short))
      assert.strictEqual((yield* store.list("web1")).length, 1)
      const next = yield* store.make("web1")
      assert.strictEqual(yield* verified(store, lasting), "web1")
      assert.strictEqual(yield* verified(store, next), "web1")
    }))

  it.scoped("what another process does counts at once", () =>
    Effect.gen(function*() {
      const { stateDir, store } = yield* setUp
      const other = yield* storeAt(stateDir)
      const token = yield* other.make("web1")
      assert.strictEqual(yield* verified(store, token), "web1")
      const second = yield* other.make("web1")
      assert.strictEqual(yield* verified(store, second), "web1")
      assert.strictEqual(yield* other.revoke("web1"), 2)
      assert.isUndefined(yield* verified(store, token))
      assert.isUndefined(yield* verified(store, second))
      assert.strictEqual(yield* other.revoke("web1"), 0)
      const third = yield* other.make("web1")
      assert.isUndefined(yield* verified(store, token), "revoked stays revoked")
      assert.strictEqual(yield* verified(store, third), "web1")
    }))

  it.scoped("what cannot be the name of a guest is refused", () =>
    Effect.gen(function*() {
      const { stateDir, store } = yield* setUp
      for (const name of ["", "..", "a..b", "../a", "a/b", ".a", "-a", "a b", "a\n", "a~b", "ä", "a".repeat(64)]) {
        for (const call of [store.make(name), store.list(name), store.revoke(name)]) {
          const result = yield* Effect.either(Effect.asVoid(call as Effect.Effect<unknown, { message: string }>))
          assert.isTrue(Either.isLeft(result), JSON.stringify(name))
        }
      }
      assert.isFalse(Fs.existsSync(stateDir))
    }))

  it.scoped("a file that is damaged, or that others can write, lets nobody in", () =>
    Effect.gen(function*() {
      const { stateDir, store } = yield* setUp
      const token = yield* store.make("web1")
      const other = yield* store.make("db1")
      const directory = Path.join(stateDir, "tokens")
      const file = Path.join(directory, "web1.json")
      const good = Fs.readFileSync(file, "utf8")
      for (
        const content of [
          "",
          "{",
          "null",
          good.slice(0, 40),
          good.replace("web1", "db1"),
          Fs.readFileSync(Path.join(directory, "db1.json"), "utf8")
        ]
      ) {
        Fs.writeFileSync(file, content)
        assert.isUndefined(yield* verified(store, token), content)
        assert.isUndefined(yield* verified(store, Redacted.make(Redacted.value(other).replace("db1", "web1"))))
      }
      Fs.rmSync(file)
      Fs.symlinkSync(Path.join(directory, "db1.json"), file)
      assert.isUndefined(yield* verified(store, token))
      assert.strictEqual(yield* store.revoke("web1"), 0, "one that is damaged can be revoked")
      assert.isFalse(Fs.existsSync(file))
      assert.strictEqual(yield* verified(store, other), "db1")
      Fs.chmodSync(directory, 0o777)
      assert.isUndefined(yield* verified(store, other))
    }).pipe(quiet))
})
