import { assert, describe, it } from "@effect/vitest"
import { originOf } from "../../../src/internal/http/origin.ts"

describe("originOf", () => {
  it("is the address of IPv4, and the network of IPv6", () => {
    const cases = {
      "192.0.2.7": "192.0.2.7",
      "::ffff:192.0.2.7": "192.0.2.7",
      "::1": "::1",
      "2001:db8::1": "2001:db8:0:0",
      "2001:db8::ffff:2": "2001:db8:0:0",
      "2001:db8:0:1::2": "2001:db8:0:1",
      "2001:db8:1:2:3:4:5:6": "2001:db8:1:2",
      "::2:3": "0:0:0:0",
      "fe80::1%eth0": "fe80:0:0:0",
      "no address": "no address"
    }
    for (const [address, origin] of Object.entries(cases)) assert.strictEqual(originOf(address), origin, address)
  })
})
