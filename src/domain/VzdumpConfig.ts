/**
 * What a configuration says of a vzdump, whoever starts it.
 */
import { Schema } from "effect"
import { expected, optional } from "./ConfigWords.ts"

/** A name of a node, a storage or a guest: what is neither a path nor an option. */
export const HostName = Schema.String.pipe(
  Schema.pattern(
    /^(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    expected("a name of letters, digits, '.', '_' and '-' that begins with a letter or a digit")
  )
)

/** The id of a guest. Proxmox VE gives 100 and more. */
export const Vmid = Schema.Number.annotations(expected("the id of a guest: a number from 100 to 999999999")).pipe(
  Schema.filter((id) =>
    Number.isInteger(id) && id >= 100 && id <= 999_999_999
      ? undefined
      : "expected the id of a guest: a number from 100 to 999999999"
  )
)

const oneOf = <const Words extends readonly [string, ...ReadonlyArray<string>]>(...words: Words) =>
  Schema.Literal(...words).annotations({
    message: () => ({ message: `expected one of ${words.join(", ")}`, override: true })
  })

/** Which guest is backed up, where to and how. */
export const VzdumpConfig = Schema.Struct({
  vmid: Vmid.annotations({ description: "The id of the guest that is backed up." }),
  storage: HostName.annotations({ description: "The storage of Proxmox VE that keeps the backup." }),
  mode: optional(
    oneOf("snapshot", "suspend", "stop").annotations({ description: "The backup mode. Default: snapshot." })
  ),
  compress: optional(
    oneOf("none", "gzip", "lzo", "zstd").annotations({
      description: "How the archive is compressed; a Proxmox Backup Server ignores it. Default: zstd."
    })
  ),
  fleecingStorage: optional(
    HostName.annotations({
      description: "For virtual machines: a fast local storage that takes what is overwritten during the backup."
    })
  ),
  protected: optional(
    Schema.Boolean.annotations({
      description: "Whether the backup is protected from pruning.",
      ...expected("true or false")
    })
  ),
  prune: optional(
    Schema.Boolean.annotations({
      description:
        "Whether older backups are pruned as the storage says. A failed prune fails the backup. Default: false.",
      ...expected("true or false")
    })
  )
})
export interface VzdumpConfig extends Schema.Schema.Type<typeof VzdumpConfig> {}
