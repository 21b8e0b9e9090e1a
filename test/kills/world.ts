/**
 * A pretended world with one real program in it: an engine, an agent, the commands of a stack, a configuration, and the
 * built binary, which is killed at the doors. The world lives on.
 */
import { Effect, type Scope } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { stringify } from "yaml"
import * as Quiesce from "../live/quiesce.ts"
import * as Agent from "./agent.ts"
import { isAtWork } from "./death.ts"
import { Docker } from "./docker.ts"
import * as Doors from "./doors.ts"
import { Gate } from "./gate.ts"

export type Kind = "docker" | "command"

/** An app of commands. */
export interface Notes {
  running: boolean
  readonly journal: Array<string>
}

export interface World {
  readonly kind: Kind
  readonly directory: string
  readonly stateDir: string
  readonly bin: string
  readonly gate: Gate
  readonly docker: Docker
  readonly notes: Notes
  readonly agent: Agent.Agent
  readonly start: (
    words: ReadonlyArray<string>,
    env?: Readonly<Record<string, string>>
  ) => Effect.Effect<Quiesce.Live, never, Scope.Scope>
  readonly run: (words: ReadonlyArray<string>) => Effect.Effect<Quiesce.Ended>
}

const commandMillis = 40

const pause = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

/** Does what the command does, when it is not dead by then: who kills a command kills what it does. */
const commandsOf = (notes: Notes): Doors.Command => async (name, pid) => {
  if (name === "status") return notes.running ? 0 : 3
  if (name === "prepare") return 0
  await pause(commandMillis)
  const running = name === "start"
  if (!isAtWork(pid) || notes.running === running) return 0
  notes.running = running
  notes.journal.push(running ? "up notes" : "down notes")
  return 0
}

const stackOf = (kind: Kind, directory: string) => {
  const words = (name: string) => ["perl", Path.join(directory, "app.pl"), name]
  return kind === "docker"
    ? { shop: { docker: { project: "shop" } } }
    : {
      notes: {
        command: { stop: words("stop"), start: words("start"), status: words("status"), prepare: words("prepare") },
        stopTimeout: "2s",
        startTimeout: "5s"
      }
    }
}

export const make = Effect.fnUntraced(function*(
  kind: Kind,
  directory: string,
  bin: string = Quiesce.bin,
  /** Other stacks than the pretended ones. */
  stacks: object = stackOf(kind, directory)
) {
  Fs.mkdirSync(directory, { recursive: true })
  const at = (name: string) => Path.join(directory, name)
  const gate = new Gate()
  const docker = new Docker()
  const notes: Notes = { running: true, journal: [] }
  const agent = yield* Agent.make(at("agent"), () => kind === "docker" ? docker.isHeld : !notes.running)
  yield* Doors.docker(gate, docker, at("docker.sock"))
  yield* Doors.agent(gate, agent.socket, at("agent.sock"))
  yield* Doors.commands(gate, commandsOf(notes), at("app.sock"))
  Fs.writeFileSync(at("app.pl"), Doors.program(at("app.sock")))
  const config = at("quiesce.yaml")
  Fs.writeFileSync(
    config,
    stringify({
      version: 1,
      stateDir: at("state"),
      docker: { host: `unix://${at("docker.sock")}` },
      limits: { steadyTime: "50ms", pollInterval: "50ms", resumeTimeout: "30s" },
      stacks,
      agent: { http: { socket: at("agent.sock") } }
    })
  )
  const call = (words: ReadonlyArray<string>) => [...words, "--config", config]
  const world: World = {
    kind,
    directory,
    stateDir: at("state"),
    bin,
    gate,
    docker,
    notes,
    agent,
    start: (words, env) => Quiesce.start(call(words), { bin, cwd: directory, env }),
    run: (words) => Quiesce.run(call(words), { bin, cwd: directory })
  }
  return world
})
