/**
 * Tokens of guests: `<guest>~<secret>`, the secret being 256 random bits in base64url. What is kept of one is its
 * SHA-256: a guess at 256 bits is hopeless, so a slow hash would add nothing.
 */
import { DateTime, Duration, Effect, Option, Redacted, Schema } from "effect"
import * as Crypto from "node:crypto"
import { GuestName } from "../../domain/Guest.ts"

/** How many tokens of one guest are good at once. */
export const live = 2

/** What is kept of a token. */
const Kept = Schema.Struct({
  sha256: Schema.String.pipe(Schema.pattern(/^[0-9a-f]{64}$/)),
  created: Schema.DateTimeUtc,
  expires: Schema.optionalWith(Schema.DateTimeUtc, { exact: true })
})
export interface Kept extends Schema.Schema.Type<typeof Kept> {}

/** The tokens of one guest as they are written down, the oldest first. */
export const TokenFile = Schema.parseJson(
  Schema.Struct({ version: Schema.Literal(1), guest: GuestName, tokens: Schema.Array(Kept) }),
  { space: 2 }
)

const isGuestName = Schema.is(GuestName)

const digest = (text: string): Buffer => Crypto.createHash("sha256").update(text).digest()

/** The guest that a token names. It is not proved. */
export const claimed = (token: Redacted.Redacted<string>): Option.Option<string> => {
  const [guest = "", secret] = Redacted.value(token).split("~", 2)
  return secret !== undefined && isGuestName(guest) ? Option.some(guest) : Option.none()
}

/** A new token, and what is kept of it. */
export const make = Effect.fnUntraced(function*(guest: string, expiresIn: Duration.DurationInput | undefined) {
  const created = yield* DateTime.now
  const text = `${guest}~${Crypto.randomBytes(32).toString("base64url")}`
  const kept: Kept = {
    sha256: digest(text).toString("hex"),
    created,
    ...expiresIn === undefined ? {} : { expires: DateTime.addDuration(created, Duration.decode(expiresIn)) }
  }
  return { token: Redacted.make(text), kept }
})

/** Those that have not expired. */
export const goodAt = (now: DateTime.Utc, tokens: ReadonlyArray<Kept>): ReadonlyArray<Kept> =>
  tokens.filter(({ expires }) => expires === undefined || DateTime.greaterThan(expires, now))

const nobody = Crypto.randomBytes(32)

/** Whether the token is one of these. Takes as long for a guest that is unknown. */
export const isAmong = (token: Redacted.Redacted<string>, tokens: ReadonlyArray<Kept>): boolean => {
  const asked = digest(Redacted.value(token))
  const known = tokens.slice(-live).map(({ sha256 }) => Buffer.from(sha256, "hex"))
  const padded = [...known, ...Array.from({ length: live - known.length }, () => nobody)]
  return padded.map((one) => Crypto.timingSafeEqual(asked, one)).includes(true)
}
