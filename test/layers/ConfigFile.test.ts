import * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect } from "effect"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as ConfigFile from "../../src/layers/ConfigFile.ts"
import type { Host } from "../../src/layers/ConfigPlaces.ts"
import { StackName } from "../../src/domain/Stack.ts"

const good = `version: 1
stacks:
  notes:
    command:
      stop: [pg_ctl, stop]
      start: [pg_ctl, start]
      status: [pg_ctl, status]
agent:
  local:
    source: ./data
    transfer: { archive: { to: ./backups } }
`

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "quiesce config "))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const env = (variables: Readonly<Record<string, string>>) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))

const host = (cwd: string, isRoot = false): Host => ({ cwd, home: join(cwd, "home"), isRoot })

const load = (explicit: string | undefined, cwd: string, variables: Readonly<Record<string, string>> = {}) =>
  ConfigFile.load(explicit, host(cwd)).pipe(env(variables), Effect.provide(NodeFileSystem.layer))

const parse = (text: string) => ConfigFile.parse(text, "/etc/quiesce/config.yaml", host("/work")).pipe(env({}))

/** The good file with one text replaced. */
const but = (from: string, to: string) => {
  assert.include(good, from)
  return good.replace(from, () => to)
}

/** The good file with a stack of containers. */
const docker = (control: string) =>
  but(good.slice(good.indexOf("    command"), good.indexOf("agent")), `    docker: ${control}\n`)

const agent = (text: string) => `${good.slice(0, good.indexOf("  local:"))}  ${text}\n`
const http = (settings: string) => agent(`http: ${settings}`)
const proxmox = (settings: string) => agent(`proxmox: ${settings}`)
const pve = "{ url: 'https://a:8006', node: pve1, vmid: 100, storage: local, tokenFile: ./t }"

const F = "/etc/quiesce/config.yaml"

describe("bad input", () => {
  const cases: ReadonlyArray<readonly [name: string, text: string, message: string]> = [
    ["an empty file", "", `${F}:1:1: expected a map with version, stacks and agent, found nothing`],
    ["only a comment", "# later\n", `${F}:1:1: expected a map with version, stacks and agent, found nothing`],
    ["a list", "- 1\n", `${F}:1:1: expected a map with version, stacks and agent, found a list`],
    ["a syntax error", "a: 'x\n", `${F}:2:1: Missing closing 'quote`],
    ["a tab", "version: 1\n\tstacks: 1\n", `${F}:2:1: a tab is no indentation in YAML; use spaces`],
    ["a key twice", `${good}version: 1\n`, `${F}:12:1: this key is there twice`],
    ["two documents", `${good}---\nversion: 1\n`, `${F}:12:1: there is more than one document; only one is read`],
    [
      "an unknown tag",
      but("version: 1", "version: !!js/function 1"),
      `${F}:1:10: Unresolved tag: tag:yaml.org,2002:js/function`
    ],
    [
      "an alias of nothing",
      but("./data", "*nope"),
      `${F}:1:1: Unresolved alias (the anchor must be set before the alias): nope`
    ],
    [
      "a merge key",
      `${good}<<: { a: 1 }\n`,
      `${F}:12:1: ["<<"]: YAML merge keys ('<<') are not supported; write the keys out`
    ],
    ["no version", but("version: 1\n", ""), `${F}:1:1: version: this key is missing`],
    [
      "version 2, and only that",
      but("version: 1", "version: 2\nnew: {}"),
      `${F}:1:10: version: expected version: 1, the only one that this program reads, found the number 2`
    ],
    [
      "a version in quotes",
      but("version: 1", "version: \"1\""),
      `${F}:1:10: version: expected version: 1, the only one that this program reads, found "1"`
    ],
    [
      "an unknown key",
      but("version: 1", "version: 1\nstate_dir: x"),
      `${F}:2:1: state_dir: unknown key; did you mean 'stateDir'?`
    ],
    [
      "an unknown key that is like no other",
      but("version: 1", "version: 1\nzzz: x"),
      `${F}:2:1: zzz: unknown key; known here: version, stateDir, maxDowntime, maxDowntimeWithoutSnapshot, limits, stacks, docker, agent, watch`
    ],
    [
      "an unknown key of a stack",
      but("  notes:\n", "  notes:\n    stopTimout: 3s\n"),
      `${F}:4:5: stacks.notes.stopTimout: unknown key; did you mean 'stopTimeout'?`
    ],
    [
      "an unknown key of a command",
      but("stop: [pg_ctl, stop]", "stop: [a]\n      sart: [b]"),
      `${F}:6:7: stacks.notes.command.sart: unknown key; did you mean 'start'?`
    ],
    [
      "an unknown key of the agent",
      but("  local:\n", "  lokal: {}\n  local:\n"),
      `${F}:9:3: agent.lokal: unknown key; did you mean 'local'?`
    ],
    [
      "an unknown key of the local agent",
      but("source: ./data", "source: ./data\n    snapshots: auto"),
      `${F}:11:5: agent.local.snapshots: unknown key; did you mean 'snapshot'?`
    ],
    [
      "an unknown key of the transfer",
      but("archive: { to", "archiv: { to"),
      `${F}:11:17: agent.local.transfer.archiv: unknown key; did you mean 'archive'?`
    ],
    [
      "an unknown key of the archive",
      but("to: ./backups", "to: ./backups, too: 1"),
      `${F}:11:43: agent.local.transfer.archive.too: unknown key; did you mean 'to'?`
    ],
    [
      "an unknown limit",
      but("version: 1", "version: 1\nlimits: { deadlin: 1h }"),
      `${F}:2:11: limits.deadlin: unknown key; did you mean 'deadline'?`
    ],
    [
      "a command as text",
      but("[pg_ctl, stop]", "pg_ctl stop"),
      `${F}:5:13: stacks.notes.command.stop: expected a list of words such as [systemctl, stop, notes] (no shell is used), found "pg_ctl stop"`
    ],
    [
      "an empty command",
      but("[pg_ctl, stop]", "[]"),
      `${F}:5:7: stacks.notes.command.stop: expected a list of words such as [systemctl, stop, notes] (no shell is used), found an empty list`
    ],
    [
      "an empty program",
      but("[pg_ctl, stop]", "[\"\", stop]"),
      `${F}:5:7: stacks.notes.command.stop: expected a program as the first word; it is empty`
    ],
    [
      "a number as a word",
      but("[pg_ctl, stop]", "[sleep, 010]"),
      `${F}:5:21: stacks.notes.command.stop[1]: expected a text; put a number or a true/false in quotes`
    ],
    [
      "a NUL in a word",
      but("[pg_ctl, stop]", "[sleep, \"a\\0b\"]"),
      `${F}:5:21: stacks.notes.command.stop[1]: expected a text without NUL, found "a\\u0000b"`
    ],
    [
      "a missing command",
      but("      start: [pg_ctl, start]\n", ""),
      `${F}:4:5: stacks.notes.command.start: this key is missing`
    ],
    [
      "a number as duration",
      but("version: 1", "version: 1\nmaxDowntime: 30"),
      `${F}:2:14: maxDowntime: expected a duration such as 500ms, 30s, 5m or 1h30m, found the number 30`
    ],
    [
      "a bad duration",
      but("version: 1", "version: 1\nmaxDowntime: 30 seconds"),
      `${F}:2:14: maxDowntime: expected a duration such as 500ms, 30s, 5m or 1h30m, found "30 seconds"`
    ],
    [
      "no duration",
      but("version: 1", "version: 1\nmaxDowntime: 0s"),
      `${F}:2:14: maxDowntime: expected a duration from 1s to 24d, found "0s"`
    ],
    [
      "a duration that no timer takes",
      but("version: 1", "version: 1\nlimits: { deadline: 30d }"),
      `${F}:2:21: limits.deadline: expected a duration from 1s to 24d, found "30d"`
    ],
    [
      "an empty value",
      but("version: 1", "version: 1\nmaxDowntime:"),
      `${F}:2:13: maxDowntime: expected a duration such as 500ms, 30s, 5m or 1h30m, found nothing`
    ],
    [
      "a bad stack name",
      but("  notes:", "  my notes:"),
      `${F}:3:3: stacks["my notes"]: this name cannot be used: letters, digits, '.', '_' and '-', at most 63, first a letter or digit`
    ],
    [
      "a stack name that is a path",
      but("  notes:", "  ../x:"),
      `${F}:3:3: stacks["../x"]: this name cannot be used: letters, digits, '.', '_' and '-', at most 63, first a letter or digit`
    ],
    [
      "a stack name of the language",
      but("  notes:", "  __proto__:"),
      `${F}:3:3: stacks.__proto__: this name cannot be used: letters, digits, '.', '_' and '-', at most 63, first a letter or digit`
    ],
    [
      "no stacks",
      but(good.slice(good.indexOf("stacks"), good.indexOf("agent")), "stacks: {}\n"),
      `${F}:2:1: stacks: expected at least one stack; none is there`
    ],
    [
      "no control",
      but(good.slice(good.indexOf("    command"), good.indexOf("agent")), "    stopTimeout: 3s\n"),
      `${F}:3:3: stacks.notes: expected one control of: command, docker; none is there`
    ],
    ["no agent", good.slice(0, good.indexOf("agent")), `${F}:1:1: agent: this key is missing`],
    [
      "an empty agent",
      `${good.slice(0, good.indexOf("agent"))}agent: {}\n`,
      `${F}:8:1: agent: expected one agent of: local, http, proxmox; none is there`
    ],
    [
      "no transfer",
      but("{ archive: { to: ./backups } }", "{}"),
      `${F}:11:5: agent.local.transfer: expected one transfer of: archive, command; none is there`
    ],
    [
      "two transfers",
      but("{ archive: { to: ./backups } }", "{ archive: { to: ./b }, command: [a, \"{snapshot}\"] }"),
      `${F}:11:5: agent.local.transfer: expected only one transfer; there are 2: archive, command`
    ],
    [
      "a transfer without the snapshot",
      but("{ archive: { to: ./backups } }", "{ command: [restic, backup, ./data] }"),
      `${F}:11:17: agent.local.transfer.command: expected '{snapshot}' in one of the arguments; it stands for the path that is to be backed up`
    ],
    [
      "no container is chosen",
      docker("{}"),
      `${F}:4:5: stacks.notes.docker: expected one choice of: project, containers, enabled; none is there`
    ],
    [
      "containers are chosen twice",
      docker("{ project: a, enabled: true }"),
      `${F}:4:5: stacks.notes.docker: expected only one choice; there are 2: project, enabled`
    ],
    [
      "a project that Compose would not have",
      docker("{ project: Shop }"),
      `${F}:4:24: stacks.notes.docker.project: expected the name of a Compose project: lower-case letters, digits, '_' and '-', found "Shop"`
    ],
    [
      "one container that is no list",
      docker("{ containers: db }"),
      `${F}:4:27: stacks.notes.docker.containers: expected a list of names of containers such as [db, web], found "db"`
    ],
    [
      "containers that are not enabled",
      docker("{ enabled: false }"),
      `${F}:4:24: stacks.notes.docker.enabled: expected true, for all containers with the label quiesce.enable=true, found false`
    ],
    [
      "two controls",
      good.replace("    command", "    docker: { project: a }\n    command"),
      `${F}:3:3: stacks.notes: expected only one control; there are 2: command, docker`
    ],
    [
      "an engine that is no address",
      but("version: 1", "version: 1\ndocker: { host: /var/run/docker.sock }"),
      `${F}:2:17: docker.host: expected an address such as unix:///var/run/docker.sock, found "/var/run/docker.sock"`
    ],
    [
      "two agents",
      but("  local:\n", "  http: { socket: ./agent.sock }\n  local:\n"),
      `${F}:8:1: agent: expected only one agent; there are 2: local, http`
    ],
    [
      "an agent without an address",
      http("{ tokenFile: ./token }"),
      `${F}:9:3: agent.http: expected one address of: url, socket; none is there`
    ],
    [
      "an agent with two addresses",
      http("{ url: 'https://a:1', socket: ./s, tokenFile: ./token }"),
      `${F}:9:3: agent.http: expected only one address; there are 2: url, socket`
    ],
    [
      "an agent without a token",
      http("{ url: 'https://a:1' }"),
      `${F}:9:3: agent.http: expected a tokenFile; without one the agent lets nobody in`
    ],
    [
      "an agent without TLS on another machine",
      http("{ url: 'http://pve1:8443', tokenFile: ./token }"),
      `${F}:9:16: agent.http.url: expected an address such as https://pve1:8443, without a path; http only on this machine`
    ],
    [
      "a path in the address",
      http("{ url: 'https://pve1:8443/v1', tokenFile: ./token }"),
      `${F}:9:16: agent.http.url: expected an address such as https://pve1:8443, without a path; http only on this machine`
    ],
    [
      "a fingerprint that is none",
      http("{ url: 'https://a:1', tokenFile: ./token, fingerprint: AA:BB }"),
      `${F}:9:64: agent.http.fingerprint: expected a SHA-256 fingerprint: 32 pairs of hexadecimal digits with colons, in quotes ("AA:BB:..."), found "AA:BB"`
    ],
    [
      "a fingerprint without TLS",
      http(`{ url: 'http://localhost:1', tokenFile: ./token, fingerprint: "${"AB:".repeat(31)}AB" }`),
      `${F}:9:3: agent.http: expected no fingerprint; only an https address shows a certificate`
    ],
    [
      "Proxmox VE without a guest",
      proxmox("{ url: 'https://a:8006', node: pve1, storage: local, tokenFile: ./t }"),
      `${F}:9:3: agent.proxmox.vmid: this key is missing`
    ],
    [
      "a guest that is a word",
      proxmox(pve.replace("100", "web")),
      `${F}:9:55: agent.proxmox.vmid: expected the id of a guest: a number from 100 to 999999999, found "web"`
    ],
    [
      "a guest that cannot be",
      proxmox(pve.replace("100", "1")),
      `${F}:9:55: agent.proxmox.vmid: expected the id of a guest: a number from 100 to 999999999, found the number 1`
    ],
    [
      "a node that is a path",
      proxmox(pve.replace("pve1", "../x")),
      `${F}:9:43: agent.proxmox.node: expected a name of letters, digits, '.', '_' and '-' that begins with a letter or a digit, found "../x"`
    ],
    [
      "an unknown mode",
      proxmox(pve.replace("vmid", "mode: quick, vmid")),
      `${F}:9:55: agent.proxmox.mode: expected one of snapshot, suspend, stop, found "quick"`
    ],
    [
      "zfs",
      but("source: ./data", "source: ./data\n    snapshot: zfs"),
      `${F}:11:15: agent.local.snapshot: snapshot 'zfs' is not supported by this version; supported: auto, btrfs, reflink, copy, none`
    ],
    [
      "lvm-thin",
      but("source: ./data", "source: ./data\n    snapshot: lvm-thin"),
      `${F}:11:15: agent.local.snapshot: snapshot 'lvm-thin' is not supported by this version; supported: auto, btrfs, reflink, copy, none`
    ],
    [
      "an unknown snapshotter",
      but("source: ./data", "source: ./data\n    snapshot: xfs"),
      `${F}:11:15: agent.local.snapshot: expected one of auto, btrfs, reflink, copy, none, found "xfs"`
    ],
    [
      "a path with a tilde",
      but("./data", "~/data"),
      `${F}:10:13: agent.local.source: expected a path; '~' is not expanded here, write the full path`
    ],
    ["an empty path", but("./data", "\"\""), `${F}:10:13: agent.local.source: expected a path, found ""`],
    [
      "archives inside the source",
      but("./backups", "./data/backups"),
      `${F}:11:32: agent.local.transfer.archive.to: expected a directory outside agent.local.source; each archive would hold the ones before it`
    ]
  ]
  for (const [name, text, message] of cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(parse(text))
        assert.strictEqual(error.message, message)
        assert.strictEqual(error.exitCode, 2)
      }))
  }

  it.effect("everything that is wrong, from the first line on", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(parse("version: 1\nmaxDowntime: x\nstacks:\n  a b: {}\nagnt: 1\n"))
      assert.deepStrictEqual(error.issues.map(({ line, path }) => [line, path]), [
        [1, "agent"],
        [2, "maxDowntime"],
        [4, "stacks[\"a b\"]"],
        [5, "agnt"]
      ])
    }))

  it.effect("an alias bomb", () =>
    Effect.gen(function*() {
      const lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
      for (let n = 1; n < 9; n++) lines.push(`a${n}: &a${n} [${Array.from({ length: 10 }, () => `*a${n - 1}`).join()}]`)
      const error = yield* Effect.flip(parse(lines.join("\n")))
      assert.match(error.message, /Excessive alias count/)
    }))

  it.effect("deep nesting ends in an error, not in a crash", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(parse(`a: ${"[".repeat(200_000)}`))
      assert.strictEqual(error._tag, "ConfigInvalid")
    }))
})

describe("the file", () => {
  const refused = (
    name: string,
    make: (path: string) => void,
    expected: RegExp
  ) =>
    it.scoped(name, () =>
      Effect.gen(function*() {
        const dir = yield* directory
        const file = join(dir, "quiesce.yaml")
        make(file)
        const error = yield* Effect.flip(load(file, dir))
        assert.match(error.message, expected)
        assert.include(error.message, file)
        assert.strictEqual(error.exitCode, 2)
      }))

  refused("is missing", () => undefined, /^there is no file .* \(named by --config\)$/)
  refused("is a directory", (path) => mkdirSync(path), /it is a directory; name the file in it$/)
  refused("is a link to nothing", (path) => symlinkSync("nowhere", path), /^there is no file /)
  refused("is a device", (path) => symlinkSync("/dev/zero", path), /not a regular file/)
  refused("is huge", (path) => writeFileSync(path, "#".repeat(256 * 1024 + 1)), /larger than 256 KiB/)
  refused("is not text", (path) => writeFileSync(path, Buffer.from([0xff, 0xfe, 0x00])), /not UTF-8 text/)
  refused("is below a file", (path) => writeFileSync(path, ""), /expected a map/)

  it.effect("cannot be read", () =>
    Effect.gen(function*() {
      const denied = FileSystem.layerNoop({
        stat: () => new PlatformError.SystemError({ module: "FileSystem", method: "stat", reason: "PermissionDenied" })
      })
      const error = yield* Effect.flip(ConfigFile.load("/root.yaml", host("/")).pipe(env({}), Effect.provide(denied)))
      assert.strictEqual(
        error.message,
        "/root.yaml: it cannot be read: permission denied; give this user the right to read it"
      )
    }))

  it.scoped("is found in the order of the places, and the first one that is there is the only one", () =>
    Effect.gen(function*() {
      const dir = yield* directory
      const put = (...path: ReadonlyArray<string>) => {
        const file = join(dir, ...path)
        mkdirSync(join(file, ".."), { recursive: true })
        writeFileSync(file, good)
        return file
      }
      const variables = { XDG_CONFIG_HOME: join(dir, "xdg") }
      const found = (explicit?: string, more: Readonly<Record<string, string>> = {}) =>
        Effect.map(load(explicit, dir, { ...variables, ...more }), ({ file }) => file)

      const user = put("xdg", "quiesce", "config.yaml")
      assert.strictEqual(yield* found(), user)
      const here = put("quiesce.yaml")
      assert.strictEqual(yield* found(), here)
      const named = put("named.yaml")
      assert.strictEqual(yield* found(undefined, { QUIESCE_CONFIG: "named.yaml" }), named)
      assert.strictEqual(yield* found(undefined, { QUIESCE_CONFIG: "" }), here)
      assert.strictEqual(yield* found("xdg/quiesce/config.yaml", { QUIESCE_CONFIG: "named.yaml" }), user)
      // a name that leads nowhere is not made good by another file
      assert.match(
        (yield* Effect.flip(found(undefined, { QUIESCE_CONFIG: "gone.yaml" }))).message,
        /gone\.yaml \(named by \$QUIESCE_CONFIG\)$/
      )
    }))

  it.scoped("is nowhere: says where it was looked for, and the way out", () =>
    Effect.gen(function*() {
      const dir = yield* directory
      const error = yield* Effect.flip(load(undefined, dir, { XDG_CONFIG_HOME: "relative" }))
      assert.strictEqual(
        error.message,
        [
          "no configuration file was found; looked at:",
          `  ${dir}/quiesce.yaml`,
          `  ${dir}/home/.config/quiesce/config.yaml`,
          `  ${dir}/home/.config/quiesce/quiesce.yaml`,
          "  /etc/quiesce/config.yaml",
          "  /etc/quiesce/quiesce.yaml",
          "write one, or name it with --config FILE or $QUIESCE_CONFIG"
        ].join("\n")
      )
    }))
})

describe("the resolved configuration", () => {
  it.effect("fills in defaults and makes paths absolute, from the directory of the file", () =>
    Effect.gen(function*() {
      const found = yield* parse(good)
      assert.deepStrictEqual(found.stacks, [{
        _tag: "Command",
        stack: StackName.make("notes"),
        stop: ["pg_ctl", "stop"],
        start: ["pg_ctl", "start"],
        status: ["pg_ctl", "status"],
        prepare: undefined,
        stopTimeout: Duration.seconds(30),
        startTimeout: Duration.seconds(60),
        cwd: "/etc/quiesce"
      }])
      assert.deepStrictEqual(found.agent, {
        _tag: "Local",
        source: "/etc/quiesce/data",
        snapshot: "auto",
        transfer: { _tag: "Archive", to: "/etc/quiesce/backups" }
      })
      assert.deepStrictEqual(found.policy.stacks, [{
        stack: StackName.make("notes"),
        maxDowntime: Duration.seconds(120),
        maxDowntimeWithoutSnapshot: Duration.hours(1)
      }])
      assert.deepStrictEqual(found.policy.deadline, Duration.hours(24))
    }))

  it.effect("a stack of containers leaves its timeouts to them", () =>
    Effect.gen(function*() {
      const found = yield* parse(docker("{ project: shop }\n    startTimeout: 5m"))
      assert.deepStrictEqual(found.stacks, [{
        _tag: "Docker",
        stack: StackName.make("notes"),
        docker: { project: "shop" },
        stopTimeout: undefined,
        startTimeout: Duration.minutes(5)
      }])
      const named = yield* parse(`docker: { host: tcp://proxy:2375 }\n${docker("{ containers: [db, web] }")}`)
      assert.strictEqual(named.dockerHost, "tcp://proxy:2375")
    }))

  it.effect("a stack's own limit wins over the common one, and that over the default", () =>
    Effect.gen(function*() {
      const found = yield* parse(
        but(
          "version: 1",
          "version: 1\nmaxDowntime: 10s\nmaxDowntimeWithoutSnapshot: 2h\nlimits: { pollInterval: 50ms }"
        )
          .replace("  notes:\n", "  notes:\n    maxDowntime: 5s\n")
      )
      assert.deepStrictEqual(found.policy.stacks[0]?.maxDowntime, Duration.seconds(5))
      assert.deepStrictEqual(found.policy.stacks[0]?.maxDowntimeWithoutSnapshot, Duration.hours(2))
      assert.deepStrictEqual(found.policy.pollInterval, Duration.millis(50))
    }))

  it.effect("a command transfer keeps its words and works in the directory of the file", () =>
    Effect.gen(function*() {
      const found = yield* parse(
        but("{ archive: { to: ./backups } }", "{ command: [restic, -r, ./repo, backup, \"{snapshot}\"] }")
      )
      assert.deepStrictEqual(found.agent, {
        _tag: "Local",
        source: "/etc/quiesce/data",
        snapshot: "auto",
        transfer: {
          _tag: "Command",
          argv: ["restic", "-r", "./repo", "backup", "{snapshot}"],
          cwd: "/etc/quiesce"
        }
      })
    }))

  it.effect("an agent on another machine: its paths are those of the file", () =>
    Effect.gen(function*() {
      const fingerprint = `${"AB:".repeat(31)}AB`
      const found = yield* parse(
        http(`{ url: 'https://pve1:8443', tokenFile: ./token, fingerprint: "${fingerprint}" }`)
      )
      assert.deepStrictEqual(found.agent, {
        _tag: "Http",
        address: { url: "https://pve1:8443" },
        tokenFile: "/etc/quiesce/token",
        fingerprint
      })
      assert.propertyVal(
        (yield* parse(http("{ socket: ../run/agent.sock }"))).agent,
        "tokenFile",
        undefined
      )
    }))

  it.effect("Proxmox VE itself", () =>
    Effect.gen(function*() {
      const found = yield* parse(proxmox(pve.replace("storage", "mode: suspend, storage")))
      assert.deepStrictEqual(found.agent, {
        _tag: "Proxmox",
        url: "https://a:8006",
        node: "pve1",
        tokenFile: "/etc/quiesce/t",
        fingerprint: undefined,
        vzdump: { vmid: 100, mode: "suspend", storage: "local" }
      })
    }))

  it.effect("JSON is YAML", () =>
    Effect.gen(function*() {
      const json = JSON.stringify({
        version: 1,
        stacks: { a: { command: { stop: ["a"], start: ["b"], status: ["c"] } } },
        agent: { local: { source: "/s", transfer: { archive: { to: "/t" } } } }
      })
      assert.propertyVal((yield* parse(json)).agent, "source", "/s")
    }))

  it.effect("the state directory: the file's, systemd's, root's, the user's", () =>
    Effect.gen(function*() {
      const of = (text: string, isRoot: boolean, variables: Readonly<Record<string, string>>) =>
        ConfigFile.parse(text, F, host("/work", isRoot)).pipe(env(variables), Effect.map(({ stateDir }) => stateDir))
      const systemd = { STATE_DIRECTORY: "/var/lib/a:/var/lib/b" }
      assert.strictEqual(yield* of(but("version: 1", "version: 1\nstateDir: ./s"), true, systemd), "/etc/quiesce/s")
      assert.strictEqual(yield* of(good, true, systemd), "/var/lib/a")
      assert.strictEqual(yield* of(good, true, {}), "/var/lib/quiesce")
      assert.strictEqual(yield* of(good, false, {}), "/work/home/.local/state/quiesce")
      assert.strictEqual(yield* of(good, false, { XDG_STATE_HOME: "/x" }), "/x/quiesce")
      assert.strictEqual(yield* of(good, false, { XDG_STATE_HOME: "relative" }), "/work/home/.local/state/quiesce")
    }))
})
