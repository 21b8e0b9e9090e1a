import { assert, describe, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import { X509Certificate } from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Certificate from "../../../src/internal/agent/certificate.ts"
import { tempDir } from "../../layers/fixtures/support.ts"
import { live } from "../../support/live.ts"

const setUp = Effect.map(tempDir, (directory) => Path.join(directory, "state"))

describe("the agent's certificate", () => {
  live(
    "is made once, for ten years and this machine, and only we can read its key",
    ["openssl"],
    () =>
      Effect.gen(function*() {
        const stateDir = yield* setUp
        const made = yield* Certificate.own({ stateDir })
        assert.match(made.fingerprint, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
        const x509 = new X509Certificate(made.cert)
        assert.strictEqual(x509.fingerprint256, made.fingerprint)
        assert.strictEqual(x509.publicKey.asymmetricKeyDetails?.namedCurve, "prime256v1")
        assert.isDefined(x509.checkHost("localhost"))
        assert.isDefined(x509.checkHost(Os.hostname()))
        const years = (Date.parse(x509.validTo) - Date.parse(x509.validFrom)) / (365 * 86_400_000)
        assert.isTrue(years >= 10 && years < 10.1, String(years))
        for (const name of ["key.pem", "cert.pem"]) {
          assert.strictEqual(Fs.statSync(Path.join(stateDir, "tls", name)).mode & 0o777, 0o600)
        }
        assert.deepStrictEqual(Fs.readdirSync(Path.join(stateDir, "tls")).sort(), ["cert.pem", "key.pem"])
        assert.deepStrictEqual(yield* Certificate.own({ stateDir }), made)
      })
  )

  live("is not made anew behind the back of guests that know it", ["openssl"], () =>
    Effect.gen(function*() {
      const stateDir = yield* setUp
      const made = yield* Certificate.own({ stateDir })
      const other = yield* Certificate.own({ stateDir: yield* setUp })
      const key = Path.join(stateDir, "tls", "key.pem")
      const fails = Effect.map(
        Effect.either(Certificate.own({ stateDir })),
        Either.match({ onLeft: ({ message }) => message, onRight: () => "" })
      )
      Fs.writeFileSync(key, other.key)
      assert.include(yield* fails, "is not the key of")
      Fs.writeFileSync(key, "nonsense")
      assert.include(yield* fails, `${key} is no PEM`)
      Fs.rmSync(key)
      assert.include(yield* fails, `${key} is missing`)
      Fs.rmSync(Path.join(stateDir, "tls", "cert.pem"))
      assert.notStrictEqual((yield* Certificate.own({ stateDir })).fingerprint, made.fingerprint)
    }))

  live("that a death in the middle has left half is made again", ["openssl"], () =>
    Effect.gen(function*() {
      const stateDir = yield* setUp
      yield* Certificate.own({ stateDir })
      Fs.rmSync(Path.join(stateDir, "tls", "cert.pem"))
      const again = yield* Certificate.own({ stateDir })
      assert.isTrue(Either.isRight(Certificate.check(again)))
    }))

  it("a given pair is checked, and what is wrong is said", () => {
    const flaw = Certificate.check({ cert: "nonsense", key: "nonsense" })
    assert.isTrue(Either.isLeft(flaw) && flaw.left.message.includes("the certificate is no PEM"))
  })
})
