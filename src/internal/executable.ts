/**
 * Whether a program can be run, asked before it is needed.
 */
import { Config, Effect } from "effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { io } from "./disk.ts"

const isProgram = (path: string) =>
  io(path, () => Fs.access(path, Fs.constants.X_OK).then(() => Fs.stat(path))).pipe(
    Effect.map((stat) => stat.isFile()),
    Effect.orElseSucceed(() => false)
  )

/** Where execvp(3) looks for a program. */
const places = (program: string, cwd: string) => {
  if (program.includes("/")) return Effect.succeed([Path.resolve(cwd, program)])
  return Config.string("PATH").pipe(
    Effect.orElseSucceed(() => "/usr/local/bin:/usr/bin:/bin"),
    Effect.map((path) => path.split(":").map((directory) => Path.resolve(cwd, directory, program)))
  )
}

/** Whether execvp(3) would find the program from this working directory. */
export const isExecutable = (program: string, cwd: string): Effect.Effect<boolean> =>
  Effect.flatMap(places(program, cwd), (paths) => Effect.exists(paths, isProgram))
