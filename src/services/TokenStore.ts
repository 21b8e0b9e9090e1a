/**
 * The agent's side: the service that knows the tokens with which guests prove who they are.
 */
import { Context, type DateTime, type Duration, type Effect, type Option, type Redacted, Schema } from "effect"

/** The tokens of a guest could not be read or written. */
export class TokenStoreError extends Schema.TaggedError<TokenStoreError>()("TokenStoreError", {
  operation: Schema.Literal("make", "list", "revoke"),
  reason: Schema.String
}) {
  override get message(): string {
    return `the tokens of the guests (${this.operation}): ${this.reason}`
  }
}

/** What is known of a token. The token itself is known to its guest alone. */
export interface TokenInfo {
  readonly created: DateTime.Utc
  /** None: it does not expire. */
  readonly expires: Option.Option<DateTime.Utc>
}

/** Makes tokens, forgets them, and tells whose a token is. */
export class TokenStore extends Context.Tag("quiesce/services/TokenStore")<TokenStore, {
  /**
   * A new token, which is told this once. A guest has two at most, so that one can take the place of the other without
   * haste: a third makes the oldest worthless.
   */
  readonly make: (
    guest: string,
    options?: { readonly expiresIn?: Duration.DurationInput | undefined }
  ) => Effect.Effect<Redacted.Redacted<string>, TokenStoreError>
  /** The tokens of a guest that are good now, the oldest first. */
  readonly list: (guest: string) => Effect.Effect<ReadonlyArray<TokenInfo>, TokenStoreError>
  /** Makes all tokens of a guest worthless, also for an agent that runs. Answers with how many there were. */
  readonly revoke: (guest: string) => Effect.Effect<number, TokenStoreError>
  /** The guest whose token this is. None for every other text, and when it cannot be told. */
  readonly verify: (token: Redacted.Redacted<string>) => Effect.Effect<Option.Option<string>>
}>() {}
