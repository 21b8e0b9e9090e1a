/**
 * Places in a run where a test can act: the stack's commands and the system tools go through a script that runs what
 * the test has put there. A hook is taken once, so that a recovery does not meet it again.
 */
import { Effect, Schedule } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type Argv, LabError } from "../lab/postgresInstall.ts"

const programs = ["cp", "flock", "sync", "tar"] as const

/** `NAME` is that of a command of the stack or of a tool; `during` acts beside it. */
export type Point = `${"prepare" | "status" | "start" | "stop" | "sh" | (typeof programs)[number]}.${
  | "before"
  | "during"
  | "after"}`

export interface Hooks {
  readonly directory: string
  /** The command, by way of its hooks. */
  readonly hooked: (name: string, argv: Argv) => Argv
  /** PATH with the tools that have hooks. */
  readonly path: string
  /**
   * Puts shell text at a point. `$quiesce` is the process id of the run, `$child` that of the command (`during`), and
   * `arm POINT TEXT` puts a hook elsewhere; `hold` waits for `letGo`.
   */
  readonly arm: (point: Point, text: string) => void
  readonly disarm: () => void
  /** Puts other shell text in the place of a tool. */
  readonly replace: (tool: string, text: string) => void
  /** Waits until a hook holds. */
  readonly held: Effect.Effect<void, LabError>
  readonly letGo: () => void
  /** Whether the point was reached. */
  readonly taken: (point: Point) => boolean
}

const script = (directory: string) =>
  `#!/bin/sh
hooks='${directory}/hooks'
name=$1; shift
quiesce=$PPID
hook() {
  [ -e "$hooks/$name.$1" ] && mv "$hooks/$name.$1" "$hooks/$name.$1.taken" && . "$hooks/$name.$1.taken"
}
arm() { printf '%s\\n' "$2" > "$hooks/.new"; mv "$hooks/.new" "$hooks/$1"; }
hold() { : > "$hooks/held"; until [ -e "$hooks/go" ]; do sleep 0.01; done; }
# for the search for secrets: what this command was given, and what called it; the password is meant for tools
( unset RESTIC_PASSWORD; export -p; IFS= read -r line < "/proc/$PPID/cmdline"; printf '%s\\n' "$line" "$*" ) \\
  2>/dev/null >> "$hooks/.seen" || :
hook before
# the dead-man is its shell itself
[ "$name" = sh ] && exec /bin/sh "$@"
if [ -e "$hooks/$name.during" ]; then
  "$@" & child=$!
  hook during
  wait $child
else
  "$@"
fi
code=$?
hook after
exit $code
`

/** Waits until it is so, for at most 20 seconds. */
export const eventually = (what: string, condition: () => boolean): Effect.Effect<void, LabError> =>
  Effect.sync(condition).pipe(
    Effect.repeat({ until: (so) => so, schedule: Schedule.spaced("10 millis") }),
    Effect.timeoutFail({
      duration: "20 seconds",
      onTimeout: () => new LabError({ message: `it never came true: ${what}` })
    }),
    Effect.asVoid
  )

/** Makes the scripts below the directory. */
export const make = (directory: string, path: string): Effect.Effect<Hooks> =>
  Effect.sync(() => {
    const hooks = Path.join(directory, "hooks")
    const tools = Path.join(directory, "tools")
    const hooked = Path.join(directory, "hooked")
    for (const made of [hooks, tools]) Fs.mkdirSync(made, { recursive: true })
    const executable = { mode: 0o755 }
    Fs.writeFileSync(hooked, script(directory), executable)
    for (const name of programs) {
      const real = path.split(":").map((place) => Path.join(place, name)).find((file) => Fs.existsSync(file)) ?? name
      Fs.writeFileSync(Path.join(tools, name), `#!/bin/sh\nexec '${hooked}' ${name} '${real}' "$@"\n`, executable)
    }
    Fs.writeFileSync(Path.join(tools, "sh"), `#!/bin/sh\nexec '${hooked}' sh "$@"\n`, executable)
    const clear = () => {
      for (const name of Fs.readdirSync(hooks)) if (name !== ".seen") Fs.rmSync(Path.join(hooks, name), { force: true })
    }
    return {
      directory: hooks,
      hooked: (name, argv) => [hooked, name, ...argv],
      path: `${tools}:${path}`,
      arm: (point, text) => Fs.writeFileSync(Path.join(hooks, point), `${text}\n`),
      disarm: clear,
      replace: (tool, text) => Fs.writeFileSync(Path.join(tools, tool), `#!/bin/sh\n${text}\n`, executable),
      held: eventually("a hook holds", () => Fs.existsSync(Path.join(hooks, "held"))),
      letGo: () => Fs.writeFileSync(Path.join(hooks, "go"), ""),
      taken: (point) => Fs.existsSync(Path.join(hooks, `${point}.taken`))
    }
  })
