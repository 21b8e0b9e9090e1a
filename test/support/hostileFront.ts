/**
 * A front that was taken over: what it could say to the engine's side, and, independently of how that side reads it, what
 * of it may be understood.
 */
import { FastCheck } from "effect"

/** Guests as the engine's side has them, by their names. */
export const vmids: Readonly<Record<string, number>> = { web: 100, db: 200 }

const pick = FastCheck.constantFrom

/** Most of the time as it should be: what is wrong in two places is caught by either of two checks. */
const mostly = <A>(good: FastCheck.Arbitrary<A>, other: FastCheck.Arbitrary<A>) =>
  FastCheck.oneof({ weight: 3, arbitrary: good }, { weight: 1, arbitrary: other })

const names = mostly(
  pick("web", "db"),
  pick(
    "../web",
    "web/../db",
    "web\u0000",
    "web\n",
    " web",
    "WEB",
    "__proto__",
    "constructor",
    "toString",
    "100",
    "200",
    "--all",
    "-",
    "",
    "mail",
    "web --storage other",
    "w".repeat(64)
  )
)

const runIds = mostly(
  pick(
    "01932c07-209c-7000-8000-000000000100",
    "01932c07-209c-7000-8000-000000000200",
    "01932c07-209c-7000-bfff-ffffffffffff"
  ),
  pick(
    "01932c07-209c-4000-8000-000000000000",
    "01932C07-209C-7000-8000-000000000000",
    "01932c07-209c-7000-8000-000000000100/../../../etc",
    "../../../../etc/shadow",
    "01932c07-209c-7000-8000-000000000100\n",
    "01932c07-209c-7000-8000-000000000100 --storage other",
    "$(reboot)",
    "",
    "200"
  )
)

const upid = (type: string, id: string, more = "") =>
  `UPID:pve1:0000AAAA:00001111:00002222:${type}:${id}:root@pam:${more}`

const handles = pick(
  "own",
  "own",
  upid("vzdump", "100"),
  upid("vzdump", "200"),
  upid("vzdump", ""),
  upid("qmdestroy", "100"),
  upid("vzdump", "100", "../../x"),
  upid("vzdump", "../100"),
  "UPID:../../../etc/passwd:",
  "/etc/shadow",
  "/var/lib/quiesce-agent-engine/guests/db/vzdump",
  "..",
  "",
  "own ",
  "Own"
)

const tags = pick(
  "Preflight",
  "Prepare",
  "Sweep",
  "Task",
  "Run",
  "Run",
  "Resume",
  "Resume",
  "run",
  "Restore",
  "Delete",
  "Exec",
  "__proto__",
  ""
)

/** What is no text where one is expected. */
const odd = pick<unknown>(null, true, 1, 100, 200, -1, 1e308, [], {}, ["web"], { guest: "web" }, { $ne: null })

const extra = mostly<Readonly<Record<string, unknown>>>(
  FastCheck.constant({}),
  pick<Readonly<Record<string, unknown>>>(
    { vmid: 200 },
    { storage: "other" },
    { mode: "stop" },
    { argv: ["/bin/sh", "-c", "reboot"] },
    { source: "/etc" },
    { transfer: { command: ["sh", "{snapshot}"] } },
    { script: "/tmp/x" },
    { stateDir: "/tmp" },
    { handle: "own" },
    { runId: "01932c07-209c-7000-8000-000000000100" },
    { "": 1 }
  )
)

const field = <A>(arbitrary: FastCheck.Arbitrary<A>) =>
  FastCheck.oneof({ weight: 24, arbitrary }, { weight: 1, arbitrary: odd }, {
    weight: 1,
    arbitrary: FastCheck.constant(undefined)
  })

const structured = FastCheck.record({
  version: field(pick<unknown>(1, 1, 1, 1, 1, 1, 0, 2, "1")),
  guest: field(names),
  _tag: field(tags),
  runId: field(runIds),
  handle: field(handles),
  extra
}).chain(({ _tag, extra, guest, handle, runId, version }) =>
  mostly<object>(
    FastCheck.constant({
      _tag,
      version,
      guest,
      ..._tag === "Run" || _tag === "Resume" ? { runId } : {},
      ..._tag === "Resume" ? { handle } : {},
      ...extra
    }),
    FastCheck.constant({ _tag, version, guest, runId, handle, ...extra })
  )
)

const text = FastCheck.oneof(
  { weight: 12, arbitrary: structured.map((request) => JSON.stringify(request)) },
  { weight: 1, arbitrary: FastCheck.json({ maxDepth: 3 }) },
  { weight: 1, arbitrary: FastCheck.string({ unit: "binary", maxLength: 60 }) },
  {
    weight: 1,
    arbitrary: pick(
      "",
      "GET / HTTP/1.1",
      "[".repeat(900),
      `{"_tag":"Run","_tag":"Preflight","version":1,"guest":"web"}`,
      `{"_tag":"Preflight","version":1,"guest":"web"}{"_tag":"Preflight"}`,
      JSON.stringify({ _tag: "Preflight", version: 1, guest: "web", padding: "x".repeat(2000) }),
      "x".repeat(5000)
    )
  }
).map((line) => line.replaceAll("\n", " "))

const order = FastCheck.oneof(
  { weight: 6, arbitrary: FastCheck.constant("{\"_tag\":\"Yes\",\"to\":\"ready\"}") },
  { weight: 2, arbitrary: FastCheck.constant("{\"_tag\":\"Yes\",\"to\":\"remember\"}") },
  {
    weight: 4,
    arbitrary: pick(
      "{\"_tag\":\"Cancel\"}",
      "{\"_tag\":\"No\",\"to\":\"ready\",\"reason\":\"no\"}",
      "{\"_tag\":\"No\",\"to\":\"ready\"}",
      "{\"_tag\":\"Yes\",\"to\":\"ready\",\"vmid\":200}",
      "{\"_tag\":\"Yes\",\"to\":\"spawn\"}",
      "{\"_tag\":\"Yes\"}",
      "yes",
      "",
      `{"_tag":"No","to":"ready","reason":"${"x".repeat(501)}"}`,
      "x".repeat(3000)
    )
  }
)

/** What it does over one connection: a first line, and one for each question that it is asked. */
export interface Attack {
  readonly first: string
  readonly orders: ReadonlyArray<string>
  /** Says the first order without being asked. */
  readonly isHasty: boolean
}

export const attack: FastCheck.Arbitrary<Attack> = FastCheck.record({
  first: text,
  orders: FastCheck.oneof(
    FastCheck.array(order, { minLength: 1, maxLength: 3 }),
    // as an honest front says them
    FastCheck.constant(["{\"_tag\":\"Yes\",\"to\":\"ready\"}", "{\"_tag\":\"Yes\",\"to\":\"remember\"}"])
  ),
  isHasty: FastCheck.integer({ min: 0, max: 9 }).map((n) => n === 0)
})

export interface Understood {
  readonly tag: string
  readonly guest: string
  readonly runId: string | undefined
  readonly handle: string | undefined
}

/** What may be understood of a first line; nothing of most. */
export const understood = (line: string): Understood | undefined => {
  if (Buffer.byteLength(line) > 1024) return undefined
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined
  const entries = new Map(Object.entries(value))
  const [tag, guest, runId, handle] = ["_tag", "guest", "runId", "handle"].map((key) => entries.get(key))
  if (entries.get("version") !== 1 || typeof guest !== "string" || !Object.hasOwn(vmids, guest)) return undefined
  const isRun = tag === "Run" || tag === "Resume"
  const keys = new Set(["_tag", "version", "guest", ...isRun ? ["runId"] : [], ...tag === "Resume" ? ["handle"] : []])
  if (![...entries.keys()].every((key) => keys.has(key))) return undefined
  if (typeof tag !== "string" || !["Preflight", "Prepare", "Sweep", "Task", "Run", "Resume"].includes(tag)) {
    return undefined
  }
  if (!isRun) return { tag, guest, runId: undefined, handle: undefined }
  if (
    typeof runId !== "string" || !/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(runId)
  ) {
    return undefined
  }
  const isHandle = handle === "own" ||
    (typeof handle === "string" && /^UPID:pve1(:[0-9A-F]{8}){3}:[a-z]+:\d*:root@pam:$/.test(handle))
  if (entries.has("handle") && !isHandle) return undefined
  return { tag, guest, runId, handle: typeof handle === "string" ? handle : undefined }
}
