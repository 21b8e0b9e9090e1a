/**
 * An engine over TCP with TLS, as DOCKER_HOST and DOCKER_CERT_PATH name it.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Dockerd from "../lab/docker/dockerd.ts"
import { images } from "../lab/docker/images.ts"
import { freePort } from "../lab/docker/postgres.ts"
import { sh, workDirectory } from "../lab/loopfs.ts"
import { live } from "../support/live.ts"
import { asItWas, ended, shop } from "./dockerSite.ts"

/** An authority, and a key that it has signed: for a server at 127.0.0.1 and for a client. */
const authority = Effect.fnUntraced(function*(directory: string) {
  Fs.mkdirSync(directory)
  const request = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-days", "2"] as const
  const at = { cwd: directory }
  yield* sh([...request, "-x509", "-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=authority"], at)
  yield* sh([...request, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=engine"], at)
  Fs.writeFileSync(Path.join(directory, "names"), "subjectAltName=IP:127.0.0.1\n")
  const sign = ["openssl", "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca-key.pem"] as const
  yield* sh([...sign, "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "cert.pem"], at)
  return directory
})

describe("an engine behind TLS", () => {
  live(
    "is used with the keys that it knows, and with no others",
    ["docker", "openssl", "tar", "zstd", "flock"],
    () =>
      Effect.gen(function*() {
        const work = yield* workDirectory
        const known = yield* authority(Path.join(work, "known"))
        const stranger = yield* authority(Path.join(work, "stranger"))
        const host = `tcp://127.0.0.1:${yield* freePort}`
        const docker = yield* Dockerd.make({
          args: [
            `--host=${host}`,
            "--tlsverify",
            `--tlscacert=${known}/ca.pem`,
            `--tlscert=${known}/cert.pem`,
            `--tlskey=${known}/key.pem`
          ]
        })
        yield* images(docker.engine, ["bb"])
        const made = yield* shop({ docker, work }, "tls", { db: {}, web: { dependsOn: { db: {} } } })
        const config = Path.join(made.directory, "quiesce.yaml")
        const text = Fs.readFileSync(config, "utf8")
        Fs.writeFileSync(config, text.replace(/^docker:\n.*\n/m, ""))
        const before = yield* made.project.states
        const run = (env: Readonly<Record<string, string>>) => made.quiesce(["run", "--json"], { env })

        ended(yield* run({ DOCKER_HOST: host, DOCKER_CERT_PATH: known }), 0, { level: "application" })
        yield* asItWas(made, before)
        const refused = [
          { DOCKER_HOST: host, DOCKER_CERT_PATH: stranger },
          { DOCKER_HOST: host, DOCKER_CERT_PATH: Path.join(work, "nowhere") },
          { DOCKER_HOST: host }
        ]
        for (const env of refused) {
          const report = ended(yield* run(env), 7)
          assert.match(report.error ?? "", /127\.0\.0\.1|cannot be read|to an HTTPS server/)
          yield* asItWas(made, before)
        }
      }),
    90_000
  )
})
