/**
 * Names of guests: the machines whose backups an agent takes.
 */
import { Schema } from "effect"

/** The name of a guest. It is also the name of a file or directory of the agent, and never comes from a request. */
export const GuestName = Schema.String.pipe(
  Schema.pattern(/^(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, {
    identifier: "GuestName",
    message: () => "expected the name of a guest: letters, digits, '.', '_', '-'; 63 at most, no '..'"
  })
)
