import { assert, describe, it } from "@effect/vitest"
import { Either, LogLevel } from "effect"
import { rule } from "../../src/cli/cli.ts"
import { check, type CommandRule } from "../../src/cli/grammar.ts"
import { help } from "../../src/cli/help.ts"

const read = (...argv: ReadonlyArray<string>) =>
  Either.match(check("quiesce", rule, argv), {
    onLeft: ({ problem }) => problem,
    onRight: (invocation) => invocation
  })

const command = (...argv: ReadonlyArray<string>) => ({ _tag: "Command" as const, argv, logLevel: undefined })

describe("the command line", () => {
  it("is handed on in one form", () => {
    assert.deepStrictEqual(read("run"), command("run"))
    assert.deepStrictEqual(
      read("run", "-s", "a", "--json", "--stack=b", "--json"),
      command("run", "--stack", "a", "--json", "--stack", "b")
    )
    assert.deepStrictEqual(read("config", "check", "-c", "f"), command("config", "check", "--config", "f"))
    assert.deepStrictEqual(read("run", "--config=-x"), command("run", "--config=-x"))
    assert.deepStrictEqual(read("run", "--config", "-"), command("run", "--config=-"))
    assert.deepStrictEqual(read("run", "--"), command("run"))
    assert.deepStrictEqual(read("--log-level", "debug", "run"), {
      _tag: "Command",
      argv: ["run"],
      logLevel: LogLevel.Debug
    })
  })

  it("asks for help, the version, or too little", () => {
    assert.deepStrictEqual(read(), { _tag: "Incomplete", path: [] })
    assert.deepStrictEqual(read("config"), { _tag: "Incomplete", path: ["config"] })
    assert.deepStrictEqual(read("run", "--json", "-h"), { _tag: "Help", path: ["run"] })
    assert.deepStrictEqual(read("--help", "config", "check"), { _tag: "Help", path: ["config", "check"] })
    assert.deepStrictEqual(read("--version"), { _tag: "Version" })
    assert.deepStrictEqual(read("run", "--version"), { _tag: "Version" })
  })

  it("has arguments where the command has them, behind its options", () => {
    assert.deepStrictEqual(
      read("vzdump-hook", "backup-start", "--timeout", "5s", "snapshot", "100"),
      command("vzdump-hook", "--timeout", "5s", "backup-start", "snapshot", "100")
    )
    assert.deepStrictEqual(read("vzdump-hook", "--", "job-init"), command("vzdump-hook", "job-init"))
    assert.deepStrictEqual(read("vzdump-hook", "a", "--", "--help"), command("vzdump-hook", "--", "a", "--help"))
    assert.deepStrictEqual(read("vzdump-hook"), command("vzdump-hook"))
    const copy: CommandRule = {
      description: "",
      options: [],
      arguments: [
        { name: "FROM", required: true, description: "" },
        { name: "TO", required: false, description: "" }
      ],
      subcommands: {}
    }
    const of = (...argv: ReadonlyArray<string>) =>
      Either.match(check("copy", copy, argv), { onLeft: ({ problem }) => problem, onRight: (it) => it })
    assert.strictEqual(of(), "copy: the argument FROM is missing")
    assert.strictEqual(of(""), "copy: the argument FROM is empty")
    assert.strictEqual(of("a", "b", "c"), "copy: unexpected argument 'c'")
    assert.deepStrictEqual(of("a", "-"), command("--", "a", "-"))
    assert.deepStrictEqual(of("--help"), { _tag: "Help", path: [] })
    assert.include(help("copy", copy, [], (text) => text), "Usage: copy [OPTIONS] FROM [TO]\n")
  })

  const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
    [["runn"], "quiesce: there is no command 'runn'; did you mean 'run'?"],
    [
      ["zzz"],
      "quiesce: there is no command 'zzz'; there are: run, watch, plan, recover, status, agent, config, vzdump-hook"
    ],
    [["config", "chekc"], "quiesce config: there is no command 'chekc'; did you mean 'check'?"],
    [
      ["__proto__"],
      "quiesce: there is no command '__proto__'; there are: run, watch, plan, recover, status, agent, config, vzdump-hook"
    ],
    [["--dry-run", "run"], "quiesce: unknown option '--dry-run'"],
    [["run", "--dryrun"], "quiesce run: unknown option '--dryrun'; did you mean '--dry-run'?"],
    [["run", "--stack", "a", "--bogus"], "quiesce run: unknown option '--bogus'"],
    [
      ["run", "--stack", "a", "--stack", "b", "--dryrun"],
      "quiesce run: unknown option '--dryrun'; did you mean '--dry-run'?"
    ],
    [["run", "-x"], "quiesce run: unknown option '-x'"],
    [["run", "-sj"], "quiesce run: unknown option '-sj'"],
    [["run", "--DRY-RUN"], "quiesce run: unknown option '--DRY-RUN'; did you mean '--dry-run'?"],
    [["run", "a", "b"], "quiesce run: unexpected argument 'a'; a stack is named by --stack a"],
    [["run", "--", "--dry-run"], "quiesce run: unexpected argument '--dry-run'; a stack is named by --stack --dry-run"],
    [["run", "--json", "true"], "quiesce run: unexpected argument 'true'; a stack is named by --stack true"],
    [["run", "--json=false"], "quiesce run: the option '--json' takes no value"],
    [["run", "--stack"], "quiesce run: the option '--stack' needs a value"],
    [
      ["run", "--stack", "--json"],
      "quiesce run: the option '--stack' needs a value; found '--json' (a value with a dash is written --stack=VALUE)"
    ],
    [["run", "--stack", ""], "quiesce run: the value of '--stack' is empty"],
    [["run", "--stack= "], "quiesce run: the value of '--stack' is empty"],
    [["run", "-c", "a", "--config", "b"], "quiesce run: the option '--config' is given twice"],
    [["status", "--stack", "a"], "quiesce status: unknown option '--stack'"],
    [["run", ""], "quiesce run: unexpected argument ''; a stack is named by --stack "],
    [
      ["run", "--log-level", "debugg"],
      "quiesce run: there is no log level 'debugg'; there are: all, trace, debug, info, warning, error, fatal, none; did you mean 'debug'?"
    ],
    [
      ["--version", "extra"],
      "quiesce: there is no command 'extra'; there are: run, watch, plan, recover, status, agent, config, vzdump-hook"
    ]
  ]
  for (const [argv, problem] of wrong) {
    it(`refuses: ${argv.join(" ")}`, () => {
      assert.strictEqual(read(...argv), problem)
    })
  }
})
