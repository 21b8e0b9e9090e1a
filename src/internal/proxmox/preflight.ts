/**
 * Whether the API would take a backup: reached, trusted, with the privileges and the storage that it needs.
 */
import { Effect } from "effect"
import type { VzdumpConfig } from "../../domain/VzdumpConfig.ts"
import type { AgentOffer } from "../../services/AgentClient.ts"
import { EngineRefused } from "../../services/Engine.ts"
import type { Proxmox } from "./client.ts"
import type { ProxmoxError } from "./errors.ts"

const lacks = (proxmox: Proxmox, path: string, privilege: string) =>
  new EngineRefused({
    reason:
      `the token ${proxmox.user} lacks the privilege ${privilege} on ${path}. Both the user and its token need it: ` +
      `pveum acl modify ${path} -user/-token ... -role ROLE`
  })

/** The privileges on a path, where the token may know them: else the order will tell. */
const heldOn = (proxmox: Proxmox, path: string) =>
  proxmox.privileges(path).pipe(
    Effect.catchIf(
      (error) => error._tag === "ProxmoxRefused" && error.status === 403,
      () => Effect.succeed(undefined)
    )
  )

/** What the storage itself says. It may not be asked without the privilege Datastore.Audit, which is no reason to refuse. */
const storageNotes = (proxmox: Proxmox, storage: string) =>
  proxmox.storage(storage).pipe(
    Effect.flatMap(({ active, content, enabled }) => {
      if (!enabled || !active) {
        return new EngineRefused({
          reason: `the storage '${storage}' is ${enabled ? "not active" : "disabled"} on the node`
        })
      }
      return content !== "" && !content.split(",").includes("backup")
        ? new EngineRefused({ reason: `the storage '${storage}' is not for backups: its content is ${content}` })
        : Effect.succeed([])
    }),
    Effect.catchTag("ProxmoxRefused", (error) =>
      error.status === 403
        ? Effect.succeed([`whether '${storage}' is there is not known: the token lacks Datastore.Audit`])
        : Effect.fail(error))
  )

const running = (proxmox: Proxmox, node: ReadonlySet<string>) =>
  Effect.map(proxmox.running, (tasks) => [
    ...tasks.length === 0
      ? []
      : [`${tasks.length === 1 ? "a backup runs" : `${tasks.length} backups run`} on the node now`],
    ...node.has("Sys.Audit") ? [] : ["backups of others are not seen: the token lacks Sys.Audit on the node"]
  ])

/** What Proxmox VE would do if it were asked now. Which mode it will be is known only once it has begun. */
export const offer = Effect.fn("proxmox.offer")(
  function*(proxmox: Proxmox, { fleecingStorage, mode, storage, vmid }: VzdumpConfig): Effect.fn.Return<
    AgentOffer,
    ProxmoxError | EngineRefused
  > {
    const nodes = yield* proxmox.nodes
    if (!nodes.includes(proxmox.node)) {
      return yield* new EngineRefused({
        reason: `there is no node '${proxmox.node}'; there are: ${nodes.join(", ")}`
      })
    }
    for (
      const [path, privilege] of [
        [`/vms/${vmid}`, "VM.Backup"],
        [`/storage/${storage}`, "Datastore.AllocateSpace"],
        ...fleecingStorage === undefined ? [] : [[`/storage/${fleecingStorage}`, "Datastore.AllocateSpace"] as const]
      ] as const
    ) {
      if ((yield* heldOn(proxmox, path))?.has(privilege) === false) return yield* lacks(proxmox, path, privilege)
    }
    const node = (yield* heldOn(proxmox, `/nodes/${proxmox.node}`)) ?? new Set()
    return {
      snapshotter: "vzdump",
      notes: [
        ...yield* storageNotes(proxmox, storage),
        ...yield* running(proxmox, node),
        ...mode === "stop" ? ["the guest is shut down for the backup: quiesce recover at boot starts the app"] : []
      ]
    }
  }
)
