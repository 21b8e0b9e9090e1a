import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { execFileSync } from "node:child_process"
import * as Compose from "../../../src/internal/docker/compose.ts"
import { composeLabels, summary } from "./fixtures.ts"

const prefix = "com.docker.compose."

describe("what a container is in Compose", () => {
  it("as version 2 says it", () => {
    assert.deepStrictEqual(Compose.membership(composeLabels("web", { number: 2 })), {
      project: "shop",
      service: "web",
      number: 2,
      workingDir: "/srv/shop",
      configFiles: ["/srv/shop/compose.yaml"]
    })
  })

  it("as version 1.29 says it: files as they were given", () => {
    const labels = {
      [`${prefix}project`]: "shop",
      [`${prefix}service`]: "db",
      [`${prefix}container-number`]: "1",
      [`${prefix}oneoff`]: "False",
      [`${prefix}project.config_files`]: "v1.yaml,../more.yaml",
      [`${prefix}project.working_dir`]: "/srv/shop"
    }
    assert.deepStrictEqual(Compose.membership(labels)?.configFiles, ["/srv/shop/v1.yaml", "/srv/more.yaml"])
    assert.deepStrictEqual(Compose.dependsOn(labels), [])
  })

  it("files without a place, and one from standard input, stay as they are", () => {
    const files = (given: string, workingDir?: string) =>
      Compose.membership({
        [`${prefix}project`]: "shop",
        [`${prefix}service`]: "db",
        [`${prefix}project.config_files`]: given,
        ...workingDir === undefined ? {} : { [`${prefix}project.working_dir`]: workingDir }
      })?.configFiles
    assert.deepStrictEqual(files("a.yaml"), ["a.yaml"])
    assert.deepStrictEqual(files("a.yaml", "relative"), ["a.yaml"])
    assert.deepStrictEqual(files("-", "/srv"), ["-"])
    assert.deepStrictEqual(files("", "/srv"), [])
  })

  it("is nothing without a project and a service", () => {
    assert.isUndefined(Compose.membership({}))
    assert.isUndefined(Compose.membership({ [`${prefix}project`]: "shop" }))
    assert.isUndefined(Compose.membership({ [`${prefix}service`]: "web" }))
  })

  it("has number 1 where none is readable", () => {
    for (const number of ["", "x", "0", "NaN"]) {
      assert.strictEqual(
        Compose.membership({ ...composeLabels("web"), [`${prefix}container-number`]: number })?.number,
        1
      )
    }
    const { [`${prefix}container-number`]: _, ...without } = composeLabels("web")
    assert.strictEqual(Compose.membership(without)?.number, 1)
  })

  it("does not count what Compose makes for a moment", () => {
    const transient = (more: Readonly<Record<string, string>>) =>
      Compose.isTransient({ ...composeLabels("web"), ...more })
    assert.isTrue(transient({ [`${prefix}oneoff`]: "True" }))
    assert.isTrue(transient({ [`${prefix}hook`]: "pre_start" }))
    assert.isFalse(transient({}))
    assert.isFalse(transient({ [`${prefix}oneoff`]: "False" }))
    const { [`${prefix}oneoff`]: _, ...without } = composeLabels("web")
    assert.isFalse(Compose.isTransient(without))
    assert.isDefined(Compose.membership(without))
    assert.isUndefined(Compose.membership({ ...composeLabels("web"), [`${prefix}oneoff`]: "True" }))
    assert.strictEqual(Compose.projectOf({ ...composeLabels("web"), [`${prefix}oneoff`]: "True" }), "shop")
  })
})

describe("depends_on", () => {
  const dependsOn = (text: string) => Compose.dependsOn({ [`${prefix}depends_on`]: text })

  it("is read in all of its forms", () => {
    assert.deepStrictEqual(dependsOn(""), [])
    assert.deepStrictEqual(Compose.dependsOn({}), [])
    // 2.17 and later
    assert.deepStrictEqual(
      dependsOn("db:service_healthy:true,migrate:service_completed_successfully:false,cache:service_started:false"),
      [
        { service: "db", condition: "healthy" },
        { service: "migrate", condition: "completed" },
        { service: "cache", condition: "started" }
      ]
    )
    // 2.3 to 2.16
    assert.deepStrictEqual(dependsOn("db:service_healthy,cache:service_started"), [
      { service: "db", condition: "healthy" },
      { service: "cache", condition: "started" }
    ])
    // 2.0 to 2.2: Compose waits for running or healthy
    assert.deepStrictEqual(dependsOn("db,cache"), [
      { service: "db", condition: "healthy" },
      { service: "cache", condition: "healthy" }
    ])
  })

  it("takes a condition that it does not know for the strictest", () => {
    assert.deepStrictEqual(dependsOn("db:service_new:true"), [{ service: "db", condition: "healthy" }])
  })

  it("never throws", () => {
    const entry = FastCheck.oneof(FastCheck.string(), FastCheck.constantFrom(":", ",", ",,", "a:b:c:d", "__proto__"))
    FastCheck.assert(FastCheck.property(FastCheck.array(entry), (entries) => {
      for (const { condition } of dependsOn(entries.join(","))) {
        assert.include(["started", "healthy", "completed"], condition)
      }
    }))
  })
})

describe("the line that makes a container again", () => {
  const membership: Compose.Membership = {
    project: "shop",
    service: "web",
    number: 1,
    workingDir: "/srv/shop",
    configFiles: ["/srv/shop/compose.yaml", "/srv/shop/more.yaml"]
  }

  it("names everything that Compose must know", () => {
    assert.strictEqual(
      Compose.upCommand(membership),
      "docker compose -p shop --project-directory /srv/shop -f /srv/shop/compose.yaml -f /srv/shop/more.yaml up -d web"
    )
    assert.strictEqual(
      Compose.upCommand({ project: "shop", service: "web", number: 1, configFiles: [] }),
      "docker compose -p shop up -d web"
    )
  })

  it("is one that a shell reads back", () => {
    const word = FastCheck.oneof(
      FastCheck.string({ minLength: 1 }),
      FastCheck.constantFrom("it's", "a b", "$HOME", "`id`", "~", "*", "\\", "\"", "ü", "a\nb", "!x", "#x")
    ).filter((text) => !text.includes("\0") && !/[\uD800-\uDFFF]/.test(text))
    FastCheck.assert(
      FastCheck.property(word, word, (service, directory) => {
        const line = Compose.upCommand({ ...membership, service, workingDir: directory, configFiles: [directory] })
        const words = execFileSync("sh", ["-c", `set -- ${line}; printf '%s\\0' "$@"`], { encoding: "utf8" })
        const made = ["docker", "compose", "-p", "shop", "--project-directory", directory, "-f", directory]
        const expected = [...made, "up", "-d", service]
        assert.deepStrictEqual(words.split("\0").slice(0, -1), expected)
      }),
      { numRuns: 60 }
    )
  })
})

it("finds the container that is this part of the project", () => {
  const all = [
    summary("one", composeLabels("web", { project: "other" })),
    summary("two", { ...composeLabels("web"), [`${prefix}oneoff`]: "True" }),
    summary("three", composeLabels("web", { number: 2 })),
    summary("four", composeLabels("web"))
  ]
  const found = Compose.find(all, { project: "shop", service: "web", number: 1 })
  assert.strictEqual(Compose.nameOf(found?.Names ?? []), "four")
  assert.isUndefined(Compose.find(all, { project: "shop", service: "web", number: 3 }))
  assert.strictEqual(Compose.nameOf([]), "")
  assert.deepStrictEqual(Compose.serviceFilter({ project: "shop", service: "web" }), [
    `${prefix}project=shop`,
    `${prefix}service=web`
  ])
})

it("gives the number where there are several", () => {
  const membership = { project: "shop", service: "web", number: 2, configFiles: [] }
  assert.strictEqual(Compose.serviceName(membership, false), "web")
  assert.strictEqual(Compose.serviceName(membership, true), "web-2")
})
