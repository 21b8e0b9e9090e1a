// A vzdump that replays the log of a real one, and does around it what the real one does: `vzdump.mjs ROOT ARGUMENTS`,
// or as its own worker `vzdump.mjs ROOT --worker JSON`. What it should do is in ROOT/control.json; what it was called
// with goes to ROOT/calls.jsonl.
import { spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"

const [root = "", ...args] = process.argv.slice(2)
const at = (name) => Path.join(root, name)
const lockFile = at("run/vzdump.lock")
const readOr = (path, other) => Fs.existsSync(path) ? Fs.readFileSync(path, "utf8") : other
const control = {
  /** Of the directory of samples. */
  log: "run-lxc-snapshot-1vol-ok",
  /** Milliseconds before each line. */
  delay: 2,
  /** Texts of lines: before each, it waits until ROOT/go-<index of the text> exists. */
  holdBefore: [],
  /** A shell command at the point in time. */
  atPoint: undefined,
  /** Milliseconds in a minute of `--lockwait`. */
  minute: 60_000,
  /** Seconds that it ignores SIGTERM. */
  deaf: false,
  ...JSON.parse(readOr(at("control.json"), "{}"))
}
const record = (entry) => Fs.appendFileSync(at("calls.jsonl"), `${JSON.stringify({ pid: process.pid, ...entry })}\n`)
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

const known = new Set(
  ("mode storage remove lockwait compress notes-template protected bwlimit fleecing script stop quiet stdout dumpdir " +
    "tmpdir stopwait ionice prune-backups node").split(" ")
)

const usage = (problem) => {
  process.stderr.write(`400 Parameter verification failed.\n${problem}\nvzdump {<vmid>} [OPTIONS]\n`)
  process.exit(255)
}

/** The words as Getopt::Long takes them: an option of a string takes the next word whatever it is. */
const parse = (words) => {
  const options = {}
  const vmids = []
  for (let index = 0; index < words.length; index++) {
    const word = words[index]
    if (!word.startsWith("-")) {
      if (!/^[1-9]\d{2,8}$/.test(word)) usage(`vmid: type check ('pve-vmid') failed: ${word}`)
      vmids.push(Number(word))
      continue
    }
    const [, name, attached] = /^--?([^=]+)(?:=(.*))?$/s.exec(word) ?? []
    if (!known.has(name)) usage(`Unknown option: ${name}`)
    options[name] = attached ?? words[++index]
    if (options[name] === undefined) usage(`Option ${name} requires an argument`)
  }
  return { options, vmids }
}

const typeOf = (vmid) =>
  [["lxc", "lxc"], ["qemu", "qemu-server"]].find(([, place]) => Fs.existsSync(at(`etc-pve/${place}/${vmid}.conf`)))
const configOf = (vmid) => at(`etc-pve/${typeOf(vmid)[1]}/${vmid}.conf`)

/** The command: forks the worker and passes on what that prints. Nobody who reads it: the worker has a broken pipe. */
const command = () => {
  record({ what: "called", argv: args, env: process.env, cwd: process.cwd(), stdin: Fs.readlinkSync("/proc/self/fd/0") })
  const { options, vmids } = parse(args)
  const here = vmids.filter((vmid) => typeOf(vmid) !== undefined)
  if (here.length === 0) process.exit(0)
  const job = JSON.stringify({ options, vmid: here[0], id: here.length === 1 ? here[0] : "" })
  const worker = spawn(process.execPath, [process.argv[1], root, "--worker", job], {
    stdio: ["ignore", "pipe", "inherit"],
    env: process.env
  })
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => worker.kill("SIGTERM"))
  worker.stdout.on("data", (chunk) => process.stdout.write(chunk))
  process.stdout.on("error", () => process.exit(141))
  worker.once("close", (code) => process.exit(code === 0 ? 0 : 255))
}

const flock = (words, fd) =>
  spawnSync("flock", [...words, "-x", "3"], { stdio: ["ignore", "ignore", "ignore", fd] }).status === 0

const work = async () => {
  const { id, options, vmid } = JSON.parse(args[1])
  const hex = (value) => value.toString(16).toUpperCase().padStart(8, "0")
  const stat = Fs.readFileSync("/proc/self/stat", "utf8")
  const pstart = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19])
  const startTime = hex(Math.floor(Date.now() / 1000))
  const upid = `UPID:pve1:${hex(process.pid)}:${hex(pstart)}:${startTime}:vzdump:${id}:root@pam:`
  const taskDirectory = at(`tasks/${startTime.slice(-1)}`)
  Fs.mkdirSync(taskDirectory, { recursive: true })
  const taskLog = Path.join(taskDirectory, upid)
  const task = (line) => Fs.appendFileSync(taskLog, `${line}\n`)

  let config
  const unlock = () => {
    if (config !== undefined) Fs.writeFileSync(config, Fs.readFileSync(config, "utf8").replace(/^lock: backup\n/m, ""))
    config = undefined
  }
  const end = (code, line) => {
    unlock()
    if (line !== undefined) task(line)
    record({ what: "ended", code, upid })
    process.exit(code)
  }
  const brokenPipe = () => end(255, "TASK ERROR: broken pipe")
  process.stdout.on("error", brokenPipe)
  const print = (line) => {
    task(line)
    try {
      Fs.writeSync(1, `${line}\n`)
    } catch (error) {
      if (error.code === "EPIPE") return brokenPipe()
      throw error
    }
  }

  let started = false
  const abort = (reason) => {
    if (started) {
      print(`ERROR: Backup of VM ${vmid} failed - ${reason}`)
      print("INFO: Failed at 2026-11-22 21:56:04")
      hook("backup-abort", false)
      hook("log-end", false)
      hook("job-end", false)
      print("INFO: Backup job finished with errors")
      process.stderr.write("job errors\n")
    }
    end(255, started ? "TASK ERROR: job errors" : `TASK ERROR: ${reason}`)
  }
  process.on("SIGTERM", () => control.deaf ? undefined : abort("interrupted by signal"))

  const script = options.script ?? /^script: *(.+)$/m.exec(readOr(at("vzdump.conf"), ""))?.[1]
  let mode = options.mode ?? "snapshot"
  const hook = (phase, isFatal = true) => {
    if (script === undefined) return
    const isOfJob = phase.startsWith("job-")
    const { status, stderr, stdout } = spawnSync(script, isOfJob ? [phase] : [phase, mode, `${vmid}`], {
      env: {
        STOREID: options.storage ?? "local",
        ...isOfJob ? {} : { VMTYPE: typeOf(vmid)[0], TARGET: "/dump/target", LOGFILE: "/dump/log" },
        LC_ALL: "C",
        LVM_SUPPRESS_FD_WARNINGS: "1"
      },
      encoding: "utf8"
    })
    for (const line of `${stdout}${stderr}`.split("\n")) if (line !== "") print(`INFO: ${line}`)
    record({ what: "hook", phase, mode, status })
    if (status !== 0 && isFatal) abort(`command '${script} ${phase} ${mode} ${vmid}' failed: exit code ${status}`)
  }

  hook("job-init")
  const lock = Fs.openSync(lockFile, "a")
  if (!flock(["-n"], lock)) {
    const minutes = Number(options.lockwait ?? 180)
    if (minutes > 0) print("INFO: trying to get global lock - waiting...")
    if (minutes === 0 || !flock(["-w", `${minutes * control.minute / 1000}`], lock)) {
      print(`ERROR: can't acquire lock '${lockFile}' ${minutes === 0 ? "(wait = 0)" : "- got timeout"}`)
      if (minutes === 0) process.stderr.write("got unexpected control message:  \n")
      return end(255)
    }
    print("INFO: got global lock")
  }
  Fs.writeFileSync(at("run/vzdump.pid"), upid)
  record({ what: "started", upid, vmid })

  const sample = Fs.readFileSync(Path.join(control.samples, `${control.log}.log`), "utf8").trimEnd().split("\n")
  const answer = JSON.parse(Fs.readFileSync(Path.join(control.samples, `${control.log}.json`), "utf8"))
  const lines = sample.filter((line) => line !== "" && !line.startsWith("TASK ")).map((line) =>
    answer.vmid === null ? line : line.replaceAll(new RegExp(`(?<!\\d)${answer.vmid}(?!\\d)`, "g"), `${vmid}`)
  )
  const isPoint = answer.guestType === "qemu"
    ? (line) => line.startsWith("INFO: started backup task")
    : (line) => line.startsWith("INFO: create storage snapshot") || line === "INFO: resuming guest"
  const isMachine = answer.guestType === "qemu"
  for (const line of lines) {
    await sleep(control.delay)
    const held = control.holdBefore.findIndex((text) => line.includes(text))
    if (held !== -1) while (!Fs.existsSync(at(`go-${held}`))) await sleep(5)
    if (line.startsWith("INFO: backup mode: ")) mode = line.slice("INFO: backup mode: ".length)
    if (line.startsWith("INFO: starting first sync")) hook("backup-start")
    if (line === "INFO: suspending guest") hook("pre-stop")
    if (!isMachine && line.startsWith("INFO: create storage")) for (const phase of ["backup-start", "pre-stop"]) hook(phase)
    if (isMachine && line.startsWith("INFO: creating ")) {
      for (const phase of ["backup-start", "pre-stop", "pre-restart", "post-restart"]) hook(phase)
    }
    if (!isMachine && line.startsWith("INFO: creating ")) {
      if (mode === "stop") hook("backup-start")
      else for (const phase of ["pre-restart", "post-restart"]) hook(phase)
    }
    if (line.startsWith("INFO: Finished Backup")) {
      hook("backup-end")
      unlock()
    }
    if (line.startsWith("ERROR: Backup of VM")) unlock()
    if (line.startsWith("INFO: Backup job finished successfully")) hook("job-end")
    // the point in time of a container is fixed after its line is written, and before the next one
    if (isPoint(line) && isMachine && control.atPoint !== undefined) spawnSync("sh", ["-c", control.atPoint])
    if (control.lastWords !== undefined && line.includes(control.lastWords)) return process.kill(process.pid, "SIGKILL")
    print(line)
    if (isPoint(line)) {
      if (!isMachine && control.atPoint !== undefined) spawnSync("sh", ["-c", control.atPoint])
      record({ what: "point", at: performance.timeOrigin + performance.now() })
    }
    if (control.stamps && /^INFO: (?:creating|started backup task)/.test(line)) {
      record({ what: "line", at: performance.timeOrigin + performance.now(), line })
    }
    if (line.startsWith("INFO: starting new backup job")) hook("job-start")
    if (line.startsWith("INFO: Starting Backup of VM")) started = true
    if (line.startsWith("INFO: status = ")) {
      const path = configOf(vmid)
      const text = Fs.readFileSync(path, "utf8")
      const lock = /^lock: (\w+)$/m.exec(text.split(/^\[/m)[0])?.[1]
      if (lock !== undefined) {
        print(`ERROR: Backup of VM ${vmid} failed - ${isMachine ? "VM" : "CT"} is locked (${lock})`)
        print("INFO: Failed at 2026-11-22 21:51:56")
        print("INFO: Backup job finished with errors")
        process.stderr.write("job errors\n")
        return end(255, "TASK ERROR: job errors")
      }
      if (!/locked/.test(control.log)) {
        config = path
        Fs.writeFileSync(path, `lock: backup\n${text}`)
      }
    }
  }
  if (answer.outcome === "done") return end(0, `TASK ${answer.exitstatus}`)
  if (answer.exitstatus !== "unexpected status") process.stderr.write(`${answer.exitstatus}\n`)
  end(255, answer.exitstatus === "unexpected status" ? undefined : `TASK ERROR: ${answer.exitstatus}`)
}

if (args[0] === "--worker") await work()
else command()
