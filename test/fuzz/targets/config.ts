/**
 * The configuration files, from the text to what is meant.
 */
import { Duration, Effect, Either } from "effect"
import * as Path from "node:path"
import * as AgentConfigFile from "../../../src/layers/AgentConfigFile.ts"
import * as ConfigFile from "../../../src/layers/ConfigFile.ts"
import type { ConfigInvalid } from "../../../src/layers/ConfigFileError.ts"
import * as assert from "../assert.ts"
import type { Prepared } from "../fuzz.ts"
import { almostText } from "../mutate.ts"
import type { Random } from "../random.ts"

const host = { cwd: "/work", home: "/home/user", isRoot: true }

const commands = "{ stop: [a], start: [b], status: [c] }"

const controller = [
  `version: 1\nstacks:\n  a:\n    command: ${commands}\nagent:\n  local: { source: /d }\n`,
  "version: 1\nstacks:\n  a:\n    docker: { project: p }\n    maxDowntime: 60s\nagent:\n  http: { url: \"https://h:1\", tokenFile: ./t }\n",
  `version: 1\nstateDir: ./s\nstacks:\n  a: &x\n    command: ${commands}\n  b: *x\nagent: { proxmox: { url: "https://h:8006", node: n, vmid: 100, storage: s, tokenFile: t } }\n`,
  `# c\nversion: 1\nlimits: { deadline: 1h }\nstacks: { a: { command: ${commands}, stopTimeout: 30s } }\nagent:\n  local:\n    source: /d\n    transfer: { command: [r, "{snapshot}"] }\nwatch:\n  schedule: "0 3 * * *"\n`
] as const

const agent = [
  "version: 1\nguests:\n  web:\n    vzdump: { vmid: 100, storage: local }\n",
  "version: 1\nlisten: { host: 0.0.0.0, port: 8443 }\nguests:\n  db:\n    local:\n      source: /d\n      transfer: { archive: { to: /b } }\n",
  "version: 1\nsockets: /run/q\njobs: 2\nreadyTimeout: 5m\nguests:\n  web: { local: { source: /d, snapshot: btrfs } }\n  db: { local: { source: ./e } }\n"
] as const

const bomb = [
  "a: &a [x, x, x, x, x, x, x, x]",
  ..."bcdefghi".split("").map((letter, index) =>
    `${letter}: &${letter} [${Array(9).fill(`*${"abcdefgh"[index]}`).join(", ")}]`
  )
].join("\n")

const pieces = [
  "&a ",
  "*a",
  "&a [*a]",
  "<<: *x",
  "!!binary ",
  "!!js/function ",
  "!!set ",
  "!!timestamp ",
  "!!omap ",
  "? ",
  "- ",
  ": ",
  "|\n ",
  ">-\n ",
  "---\n",
  "...\n",
  "%YAML 1.1\n",
  "\t",
  "{",
  "}",
  "[",
  "]",
  "\"",
  "'",
  "#",
  "\n  ",
  "\n    ",
  "__proto__: 1\n",
  "constructor: {}\n",
  "version: 2\n",
  "0x10",
  "0o7",
  ".inf",
  ".nan",
  "1_000",
  "~",
  "null",
  "yes",
  "2026-01-01",
  "[".repeat(150),
  "- ".repeat(150),
  "{a: ".repeat(150),
  "\n",
  "stacks:\n",
  "  a:\n",
  "agent:\n"
]

const spots = (text: string, { issues, message }: ConfigInvalid) => {
  const lines = text.split(/\r\n|\n|\r/)
  assert.isTrue(issues.length > 0)
  for (const issue of issues) {
    assert.isTrue(
      Number.isInteger(issue.line) && issue.line >= 1 && issue.line <= lines.length + 1,
      `line ${issue.line}`
    )
    assert.isTrue(Number.isInteger(issue.column) && issue.column >= 1, `column ${issue.column}`)
    assert.isTrue(issue.message !== "")
  }
  const [first] = issues
  assert.isTrue(message.startsWith(`/etc/q.yaml:${first?.line}:${first?.column}: `))
  assert.isAtMost(message.length, 2_000 + 100 * text.length)
}

const finite = (duration: Duration.Duration) =>
  assert.isTrue(Duration.lessThanOrEqualTo(duration, "24 days"), "a duration that no timer can be set to")

const almost = almostText(controller, pieces)

const quiesceYaml: Prepared = () => ({
  make: (r: Random) => almost(r) + (r.chance(500) ? `\n${bomb}\n` : ""),
  check: (text: string) => {
    const parsed = Effect.runSync(Effect.either(ConfigFile.parse(text, "/etc/q.yaml", host)))
    if (Either.isLeft(parsed)) return spots(text, parsed.left)
    const { policy, stacks, stateDir } = parsed.right
    assert.isTrue(Path.isAbsolute(stateDir) && stacks.length > 0)
    for (const { maxDowntime, maxDowntimeWithoutSnapshot } of policy.stacks) {
      finite(Duration.decode(maxDowntime))
      finite(Duration.decode(maxDowntimeWithoutSnapshot))
    }
    for (const { stack } of policy.stacks) assert.match(stack, /^[A-Za-z0-9][A-Za-z0-9._-]*$/)
  }
})

const agentYaml: Prepared = () => ({
  make: almostText(agent, pieces),
  check: (text: string) => {
    const parsed = Effect.runSync(Effect.either(AgentConfigFile.parse(text, "/etc/q.yaml", host)))
    if (Either.isLeft(parsed)) return spots(text, parsed.left)
    const { guests, jobs, listen, readyTimeout, stateDir } = parsed.right
    assert.isTrue(Path.isAbsolute(stateDir) && guests.length > 0 && jobs >= 1)
    assert.isTrue(listen === undefined || (listen.port >= 1 && listen.port <= 65_535))
    finite(readyTimeout)
    for (const { name } of guests) assert.match(name, /^[A-Za-z0-9][A-Za-z0-9._-]*$/)
  }
})

export const config: Readonly<Record<string, Prepared>> = { "quiesce.yaml": quiesceYaml, "agent.yaml": agentYaml }
