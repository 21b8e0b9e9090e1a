import { assert, it } from "@effect/vitest"
import { Duration, Either, Schema, SchemaAST } from "effect"
import { QuiesceConfig } from "../../src/domain/Config.ts"
import * as DurationText from "../../src/domain/DurationText.ts"

const decode = Schema.decodeUnknownEither(QuiesceConfig, { errors: "all", onExcessProperty: "error" })

const command = { stop: ["stop"], start: ["start"], status: ["status"] }
const minimal = {
  version: 1,
  stacks: { notes: { command } },
  agent: { local: { source: "./data", transfer: { archive: { to: "./backups" } } } }
}

it("accepts the smallest configuration", () => {
  assert.isTrue(Either.isRight(decode(minimal)))
})

it("decodes durations, and encodes them so that they decode again", () => {
  const decoded = Either.getOrThrow(decode({ ...minimal, maxDowntime: "1m30s", limits: { deadline: "1d" } }))
  assert.strictEqual(Duration.toMillis(decoded.maxDowntime ?? 0), 90_000)
  assert.strictEqual(Duration.toMillis(decoded.limits?.deadline ?? 0), 86_400_000)
  const encoded = Schema.encodeSync(QuiesceConfig)(decoded)
  assert.deepStrictEqual(Either.getOrThrow(decode(encoded)), decoded)
})

it("reads and writes durations", () => {
  const cases: ReadonlyArray<readonly [string, number | undefined]> = [
    ["500ms", 500],
    ["30s", 30_000],
    ["5m", 300_000],
    ["1h", 3_600_000],
    ["1d", 86_400_000],
    ["1h30m", 5_400_000],
    ["1.5h", 5_400_000],
    ["0s", 0],
    ["", undefined],
    ["30", undefined],
    ["30 s", undefined],
    ["-5s", undefined],
    ["30m1h", undefined],
    ["1h1h", undefined],
    ["1e3s", undefined],
    ["s", undefined],
    ["30sec", undefined],
    ["∞", undefined]
  ]
  for (const [text, millis] of cases) {
    const parsed = DurationText.parse(text)
    assert.strictEqual(parsed._tag === "Some" ? Duration.toMillis(parsed.value) : undefined, millis, text)
  }
  for (const millis of [0, 1, 999, 1_000, 61_001, 5_400_000, 90_061_001]) {
    const parsed = DurationText.parse(DurationText.format(Duration.millis(millis)))
    assert.strictEqual(parsed._tag === "Some" ? Duration.toMillis(parsed.value) : undefined, millis)
  }
})

/** Every place of the schema that takes a value and not a map. */
const leaves = (ast: SchemaAST.AST, path: string): ReadonlyArray<readonly [string, boolean]> => {
  const described = SchemaAST.getDescriptionAnnotation(ast)._tag === "Some"
  if (SchemaAST.isTypeLiteral(ast)) {
    return [
      ...ast.propertySignatures.flatMap(({ name, type }) => leaves(type, `${path}.${String(name)}`)),
      ...ast.indexSignatures.flatMap(({ type }) => leaves(type, `${path}.*`))
    ]
  }
  if (SchemaAST.isRefinement(ast) || SchemaAST.isTransformation(ast)) {
    return leaves(ast.from, path).map(([name, inner]) => [name, inner || (name === path && described)])
  }
  return [[path, described]]
}

it("describes every leaf", () => {
  const found = leaves(QuiesceConfig.ast, "")
  assert.isAbove(found.length, 25)
  assert.deepStrictEqual(found.filter(([, described]) => !described).map(([path]) => path), [])
})
