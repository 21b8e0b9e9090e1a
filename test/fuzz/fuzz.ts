/**
 * Runs a decoder over many inputs. `SEED` and `RUNS` choose another run, `SEED=new` a new one; what fails says how it is
 * had again, alone (`ONLY`).
 */
import { it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as V8 from "node:v8"
import * as Vm from "node:vm"
import { Worker } from "node:worker_threads"
import { type Random, random } from "./random.ts"

/** One decoder: what it gets, and what must be true of what it makes of it. */
export interface Target<Input = unknown> {
  readonly make: (r: Random) => Input
  /** Throws when something is wrong. A method, so that targets of different inputs are targets. */
  check(input: Input, r: Random): void | Promise<void>
  /** At the end. */
  readonly close?: () => Promise<void>
}

/** A target that is made anew for its test: it may keep what lives as long as that. */
export type Prepared = () => Promise<Target> | Target

/** Milliseconds for one input, the best of three tries: the machine may be busy, but not each time. */
const slow = 2_000
/** Bytes of memory that may be in use after all of it, above what was at the beginning. */
const heap = 400 * 1024 * 1024
/** Seconds without an input being done, after which it never will be. */
const hung = 100

/** Garbage is no leak. */
const collect = () => {
  V8.setFlagsFromString("--expose-gc")
  Vm.runInNewContext("gc()")
}

const shown = (input: unknown): string => {
  const text = Buffer.isBuffer(input) ? `base64 ${input.toString("base64")}` : JSON.stringify(input)
  return text.length > 4_000 ? `${text.slice(0, 4_000)}... (${text.length} characters)` : text
}

/** Ends this process when an input takes for ever, which no timeout of a test can. */
const watchdog = (name: string, seed: number) => {
  const at = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(
    `const { workerData: { at, hung, name, seed } } = require("node:worker_threads")
     let last = -1, since = Date.now()
     setInterval(() => {
       const now = Atomics.load(at, 0)
       if (now !== last) { last = now; since = Date.now(); return }
       if (Date.now() - since < hung * 1000) return
       require("node:fs").writeSync(2, \`\\nfuzz of \${name}: an input takes for ever: SEED=\${seed} ONLY=\${now}\\n\`)
       process.kill(process.pid, "SIGKILL")
     }, 1000)`,
    { eval: true, workerData: { at, hung, name, seed } }
  )
  worker.unref()
  return { at, stop: () => worker.terminate() }
}

const seedOf = (env: string | undefined) => env === "new" ? Date.now() % 0x7fffffff : Number(env ?? 1)

const fuzz = async (name: string, target: Target, runs: number): Promise<void> => {
  const seed = seedOf(process.env["SEED"])
  const only = process.env["ONLY"]
  const dog = watchdog(name, seed)
  collect()
  const before = process.memoryUsage().heapUsed
  let breath = performance.now()
  let isAsync = false
  // most inputs end in an error, and most of the time would be spent on where it was made
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  const take = async (index: number) => {
    const r = random(seed, index)
    const input = target.make(r)
    const fail = (what: string, cause?: unknown): never => {
      throw new Error(
        `${name}: ${what}\nagain, alone: SEED=${seed} ONLY=${index} npx vitest run test/fuzz -t '${name}'\ninput: ${
          shown(input)
        }`,
        { cause }
      )
    }
    const once = async () => {
      const began = performance.now()
      const done = target.check(input, random(seed, index))
      if (done !== undefined) {
        isAsync = true
        await done
      }
      return performance.now() - began
    }
    try {
      if (await once() <= slow) return
    } catch {
      Error.stackTraceLimit = 30
    }
    try {
      if (await once() > slow && await once() > slow) fail(`it takes more than ${slow} ms`)
    } catch (error) {
      fail(error instanceof Error ? error.stack ?? error.message : String(error), error)
    }
    if (Error.stackTraceLimit > 0) fail("it was wrong once, and right the second time")
  }
  try {
    if (only !== undefined) return await take(Number(only))
    for (let index = 0; index < runs; index++) {
      Atomics.store(dog.at, 0, index)
      await take(index)
      // who runs the test must be able to ask how it is; and what waits for a turn of the loop is not garbage before it
      if (performance.now() - breath > (isAsync ? 5 : 250)) {
        await new Promise((resolve) => setImmediate(resolve))
        breath = performance.now()
      }
    }
    collect()
    const grown = process.memoryUsage().heapUsed - before
    if (grown > heap) {
      throw new Error(`${name}: ${Math.round(grown / 1024 / 1024)} MiB more are in use after ${runs} inputs`)
    }
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    await dog.stop()
  }
}

const corpus = Path.join(import.meta.dirname, "corpus")

/** Inputs that once broke something, one a file: JSON of the input. */
const known = (name: string): ReadonlyArray<readonly [string, unknown]> => {
  const directory = Path.join(corpus, name)
  if (!Fs.existsSync(directory)) return []
  return Fs.readdirSync(directory).sort().map((file) => [
    file,
    JSON.parse(Fs.readFileSync(Path.join(directory, file), "utf8"))
  ])
}

/** A test of each target with this many inputs, after those that once broke it. */
export const all = (targets: Readonly<Record<string, Prepared>>, runs: number): void => {
  const wanted = Number(process.env["RUNS"] ?? runs)
  for (const [name, prepare] of Object.entries(targets)) {
    it(`${name}: ${wanted} inputs`, async () => {
      const target = await prepare()
      for (const [, input] of known(name)) await target.check(input, random(0, 0))
      await fuzz(name, target, wanted)
      await target.close?.()
    }, 600_000)
  }
}
