/**
 * `npm run bench:systemd`: how soon an app is back that a killed backup has left down, by the shipped units under a real
 * systemd: after a `kill -9` of everything of the unit, and after a power cut.
 */
import { Effect } from "effect"
import { cpus, loadavg } from "node:os"
import * as Fs from "node:fs/promises"
import { parseArgs } from "node:util"
import { bold, say, table } from "../demo/lib/print.ts"
import { runMain } from "../demo/lib/runMain.ts"
import { attempt } from "../test/lab/postgresInstall.ts"
import * as Site from "../test/live/systemdSite.ts"
import { quantile } from "./statistics.ts"

const usage = "usage: npm run bench:systemd -- [--kills N] [--boots N] [--json FILE]"

const options = attempt(usage, async () => {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "100" },
      boots: { type: "string", default: "20" },
      json: { type: "string" }
    }
  })
  const [kills, boots] = [Number(values.kills), Number(values.boots)]
  for (const count of [kills, boots]) if (!(Number.isInteger(count) && count >= 0)) throw new Error("a whole number")
  if (process.getuid?.() !== 0) throw new Error("a machine of its own needs root")
  return { kills, boots, json: values.json }
})

const unit = "quiesce.service"

/** Milliseconds from a point in time of systemd, of a unit or of its own, until the app was up. */
const untilUp = Effect.fnUntraced(function*({ call }: Site.Site, property: string, ...unit: ReadonlyArray<string>) {
  const show = (property: string, ...unit: ReadonlyArray<string>) =>
    call("systemctl", "show", "--value", `--property=${property}`, ...unit)
  const from = yield* show(property, ...unit)
  return (Number(yield* show("ActiveEnterTimestampMonotonic", "app.service")) - Number(from)) / 1_000
})

/** The app is up already, and nothing runs: only its past is forgotten. */
const held = Effect.fnUntraced(function*(site: Site.Site) {
  yield* attempt("the log of the app", () => Fs.writeFile(site.at("srv/log"), "up\n"))
  yield* site.ask("systemctl", "reset-failed", unit)
  yield* site.held(unit)
})

const kill = Effect.fnUntraced(function*(site: Site.Site) {
  yield* held(site)
  yield* site.call("systemctl", "kill", "--signal=KILL", "--kill-who=all", unit)
  yield* site.isBack
  return yield* untilUp(site, "ExecMainExitTimestampMonotonic", unit)
})

const boot = Effect.fnUntraced(function*(site: Site.Site) {
  yield* held(site)
  yield* site.powerOff
  yield* site.powerOn
  yield* site.isBack
  const result = {
    all: yield* untilUp(site, "UserspaceTimestampMonotonic"),
    unit: yield* untilUp(site, "ExecMainStartTimestampMonotonic", "quiesce-recover.service")
  }
  yield* site.booted
  return result
})

const summary = (values: ReadonlyArray<number>) => ({
  n: values.length,
  p50: Math.round(quantile(values, 0.5)),
  p99: Math.round(quantile(values, 0.99)),
  max: Math.round(Math.max(...values))
})

runMain(Effect.scoped(Effect.gen(function*() {
  const { boots, json, kills } = yield* options
  const site = yield* Site.make()
  yield* site.fresh
  const killed: Array<number> = []
  const booted: Array<Effect.Effect.Success<ReturnType<typeof boot>>> = []
  const keep = attempt(json ?? "", async () => {
    if (json !== undefined) await Fs.writeFile(json, JSON.stringify({ killed, booted }))
  })
  for (let n = 0; n < kills; n++) {
    killed.push(yield* kill(site))
    yield* keep
  }
  yield* site.call("systemctl", "enable", "quiesce-recover.service")
  for (let n = 0; n < boots; n++) {
    booted.push(yield* boot(site))
    yield* keep
  }
  const result = {
    load: loadavg()[0],
    cpus: cpus().length,
    kill: summary(killed),
    boot: summary(booted.map(({ all }) => all)),
    bootUnit: summary(booted.map(({ unit }) => unit))
  }
  const row = (
    name: string,
    { max, n, p50, p99 }: ReturnType<typeof summary>
  ) => [name, `${n}`, `${p50} ms`, `${p99} ms`, `${max} ms`]
  say(bold(`\nuntil the app is up; ${result.cpus} processors, load ${result.load}`))
  say(table([
    ["", "times", "p50", "p99", "longest"],
    row("from the kill -9 of the whole unit", result.kill),
    row("from the start of systemd at boot", result.boot),
    row("from the start of quiesce-recover.service at boot", result.bootUnit)
  ]))
  return 0
})))
