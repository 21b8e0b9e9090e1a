/**
 * The tokens of guests as files `<stateDir>/tokens/<guest>.json`, which hold no token, only digests.
 */
import { DateTime, Effect, Layer, Option, type Redacted, Schema } from "effect"
import type { BigIntStats } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { GuestName } from "../domain/Guest.ts"
import * as Tokens from "../internal/agent/tokens.ts"
import { errnoOf, reasonOf, removeDurably, replaceDurably } from "../internal/durable.ts"
import * as StateDir from "../internal/stateDir.ts"
import { TokenStore, TokenStoreError } from "../services/TokenStore.ts"

type Operation = TokenStoreError["operation"]

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = Fs.constants

const encode = Schema.encode(Tokens.TokenFile)
const decode = Schema.decode(Tokens.TokenFile)
const isGuestName = Schema.is(GuestName)

const orFail = (operation: Operation) =>
  Effect.mapError((error: { readonly message: string }) => new TokenStoreError({ operation, reason: error.message }))

/** Another version of the file: every write makes a new one. */
const versionOf = ({ ctimeNs, ino, size }: BigIntStats) => `${ino} ${ctimeNs} ${size}`

const make = Effect.fnUntraced(function*(options: { readonly stateDir: string }) {
  const stateDir = Path.resolve(options.stateDir)
  const directory = Path.join(stateDir, "tokens")
  const fileOf = (guest: string) => `${guest}.json`
  const writing = yield* Effect.makeSemaphore(1)
  const cache = new Map<string, { readonly version: string; readonly tokens: ReadonlyArray<Tokens.Kept> }>()

  const named = (operation: Operation, guest: string) =>
    isGuestName(guest)
      ? Effect.void
      : new TokenStoreError({ operation, reason: `${JSON.stringify(guest)} is not the name of a guest` })

  const attempt = <A>(path: string, act: () => Promise<A>) =>
    Effect.tryPromise({ try: act, catch: (error) => ({ message: `${path}: ${reasonOf(error)}` }) })

  /** All that are written down, looked at each time and read when they have changed. */
  const read = Effect.fnUntraced(function*(guest: string) {
    const path = Path.join(directory, fileOf(guest))
    const found = yield* attempt(path, () =>
      Fs.lstat(path, { bigint: true }).catch((error: unknown) => {
        if (errnoOf(error) !== "ENOENT") throw error
      }))
    if (found === undefined) {
      cache.delete(guest)
      return []
    }
    const known = cache.get(guest)
    if (known?.version === versionOf(found)) return known.tokens
    const { text, version } = yield* attempt(
      path,
      () =>
        Fs.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).then((file) =>
          Promise.all([file.stat({ bigint: true }), file.readFile("utf8")])
            .then(([stats, text]) => ({ text, version: versionOf(stats) }))
            .finally(() => file.close())
        )
    )
    const content = yield* Effect.mapError(decode(text), () => ({
      message: `${path}: it is damaged; revoke the tokens of this guest, and make new ones`
    }))
    if (content.guest !== guest) {
      return yield* Effect.fail({ message: `${path}: it has the tokens of ${content.guest}; remove it` })
    }
    cache.set(guest, { version, tokens: content.tokens })
    return content.tokens
  })

  /** Nobody else may have written what decides who is who. */
  const safely = <A>(whenMissing: A, act: Effect.Effect<A, { readonly message: string }>) =>
    Effect.gen(function*() {
      for (const path of [stateDir, directory]) if (!(yield* StateDir.check(path))) return whenMissing
      return yield* act
    })

  const good = (guest: string) =>
    Effect.zipWith(safely([], read(guest)), DateTime.now, (tokens, now) => Tokens.goodAt(now, tokens))

  const add = Effect.fn("TokenStore.make")(
    function*(guest: string, options: Parameters<TokenStore["Type"]["make"]>[1]) {
      yield* named("make", guest)
      yield* orFail("make")(Effect.forEach([stateDir, directory], StateDir.ensure, { discard: true }))
      const { kept, token } = yield* Tokens.make(guest, options?.expiresIn)
      const before = yield* orFail("make")(good(guest))
      const content = yield* orFail("make")(
        encode({ version: 1, guest, tokens: [...before, kept].slice(-Tokens.live) })
      )
      yield* orFail("make")(replaceDurably(directory, { name: fileOf(guest), content: `${content}\n` }))
      return token
    },
    (effect) => writing.withPermits(1)(effect)
  )

  const revoke = Effect.fn("TokenStore.revoke")(
    function*(guest: string) {
      yield* named("revoke", guest)
      // one that is damaged can be revoked too
      const before = yield* Effect.orElseSucceed(good(guest), () => [])
      yield* orFail("revoke")(safely(undefined, removeDurably(directory, [fileOf(guest)])))
      return before.length
    },
    (effect) => writing.withPermits(1)(effect)
  )

  const verify = Effect.fnUntraced(function*(token: Redacted.Redacted<string>) {
    const guest = Tokens.claimed(token)
    const tokens = Option.isNone(guest) ? [] : yield* good(guest.value).pipe(
      Effect.catchAll(({ message }) => Effect.as(Effect.logError(`a guest cannot be known: ${message}`), []))
    )
    return Tokens.isAmong(token, tokens) ? guest : Option.none()
  })

  return TokenStore.of({
    make: add,
    list: Effect.fn("TokenStore.list")(function*(guest) {
      yield* named("list", guest)
      const tokens = yield* orFail("list")(good(guest))
      return tokens.map(({ created, expires }) => ({ created, expires: Option.fromNullable(expires) }))
    }),
    revoke,
    verify
  })
})

/** Tokens in a state directory, which must belong to this user alone. A change counts from the next request on. */
export const layer = (options: { readonly stateDir: string }): Layer.Layer<TokenStore> =>
  Layer.effect(TokenStore, make(options))
