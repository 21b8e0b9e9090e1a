/**
 * What a person should know of a stack before it is held: what is left alone, and what could get in the way.
 */
import { Effect } from "effect"
import * as Compose from "./compose.ts"
import * as ComposeHooks from "./composeHooks.ts"
import type { Member } from "./members.ts"
import type { Summary } from "./schemas.ts"

const list = (members: ReadonlyArray<Pick<Member, "unit">>) => members.map(({ unit }) => unit).join(", ")

const isUp = ({ container: { State } }: Member) => State.Status === "running"

/** Images that stop or replace other containers. */
const meddlers = /(^|\/)(autoheal|watchtower|ouroboros|shepherd)(:|@|$)/

/** Official and well-known PostgreSQL images, and what calls itself so by its program. */
const isPostgres = ({ container: { Config } }: Member) =>
  /(^|\/)(postgres|postgis|pgvector|timescaledb[\w-]*|postgresql[\w-]*)(:|@|$)/.test(Config.Image) ||
  Config.Env.some((entry) => entry.startsWith("PGDATA="))

/** The engine's default; PostgreSQL waits at it for all clients to leave ("smart shutdown"). */
const stopsByTerm = ({ container: { Config } }: Member) =>
  ["", "SIGTERM", "TERM", "15"].includes(Config.StopSignal ?? "")

const ofPolicies = (members: ReadonlyArray<Member>) => {
  const held = members.filter((member) => isUp(member) && member.settings.how === "stop")
  const always = held.filter(({ container }) => container.HostConfig.RestartPolicy.Name === "always")
  const others = held.filter(({ container }) => container.HostConfig.RestartPolicy.Name !== "always")
  return [
    ...always.length === 0 ? [] : [
      `restart policy 'always' (${list(always)}): a restart of the daemon in the hold starts them again; ` +
      "the backup is then not called application consistent"
    ],
    ...others.length === 0 ? [] : [
      `${list(others)}: after a reboot in the hold Docker does not start them again; 'quiesce recover' at boot does`
    ]
  ]
}

const ofHow = (members: ReadonlyArray<Member>) => {
  const with_ = (how: Member["settings"]["how"]) => members.filter((one) => isUp(one) && one.settings.how === how)
  const [alone, paused, frozen] = [with_("none"), with_("pause"), with_("exec")]
  return [
    ...alone.length === 0 ? [] : [`${list(alone)}: left alone, as the label says`],
    ...paused.length === 0 ? [] : [`${list(paused)}: paused, not stopped; that is crash consistent at best`],
    ...frozen.length === 0 ? [] : [`${list(frozen)}: held by a command, not stopped; that is crash consistent at best`]
  ]
}

const ofStates = (members: ReadonlyArray<Member>) =>
  members.flatMap((member) => {
    const { container: { State }, unit } = member
    if (State.Status === "paused") return [`${unit}: is paused and stays so; its data is crash consistent at best`]
    if (!isUp(member) || member.settings.how === "none") return []
    return [
      ...State.Health?.Status === "unhealthy"
        ? [`${unit}: is unhealthy now, so after the start it need only be running`]
        : [],
      ...isPostgres(member) && stopsByTerm(member)
        ? [
          `${unit}: PostgreSQL with stop signal SIGTERM waits for its clients and is killed at the end of the grace ` +
          "period; set 'stop_signal: SIGINT'"
        ]
        : []
    ]
  })

/** What hangs on the network of a container that is stopped, and is not stopped with it. */
const ofNetworks = (members: ReadonlyArray<Member>, running: ReadonlyArray<Summary>) => {
  const held = members.filter((member) => isUp(member) && member.settings.how === "stop")
  const ids = new Set(held.map(({ container }) => container.Id))
  return running.flatMap(({ HostConfig: { NetworkMode }, Id, Names }) => {
    const provider = held.find(({ container }) => NetworkMode === `container:${container.Id}`)
    return provider === undefined || ids.has(Id)
      ? []
      : [`${Compose.nameOf(Names)} uses the network of ${provider.unit} and is not held with it: it loses its network`]
  })
}

const ofMeddlers = (running: ReadonlyArray<Summary>) =>
  running.filter(({ Image }) => meddlers.test(Image)).map(({ Image, Names }) =>
    `${Compose.nameOf(Names)} (${Image}) may start or replace containers in the hold; that is seen, and told`
  )

const ofOneOffs = (projects: ReadonlySet<string | undefined>, running: ReadonlyArray<Summary>) => {
  const found = running.filter(({ Labels }) => Compose.isTransient(Labels) && projects.has(Compose.projectOf(Labels)))
  return found.map(({ Names }) => `${Compose.nameOf(Names)}: a one-off container of the project; it is left alone`)
}

const ofHooks = (members: ReadonlyArray<Member>) =>
  Effect.map(
    ComposeHooks.read([...new Set(members.flatMap(({ compose }) => compose?.configFiles ?? []))]),
    ({ hooks, unread }) => {
      const services = new Set(members.map(({ compose }) => compose?.service))
      const ours = hooks.filter((hook) => services.has(hook.split(":")[0]))
      return [
        ...ours.length === 0 ? [] : [
          `${ours.join(", ")}: Compose's own hooks are run by Compose alone; use quiesce.exec.freeze and .thaw`
        ],
        ...unread.length === 0 ? [] : [
          `${unread.join(", ")} cannot be read here: whether it has hooks is not known; Compose's own are not run`
        ]
      ]
    }
  )

/** All notes on a stack; `running` are all running containers of the engine. */
export const notesOn = (
  members: ReadonlyArray<Member>,
  running: ReadonlyArray<Summary>
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(ofHooks(members), (hooks) => [
    ...ofHow(members),
    ...ofStates(members),
    ...ofPolicies(members),
    ...ofNetworks(members, running),
    ...ofOneOffs(new Set(members.flatMap(({ compose }) => compose?.project ?? [])), running),
    ...ofMeddlers(running),
    ...hooks
  ])
