import { addEqualityTesters } from "@effect/vitest"
import { afterEach, assert } from "vitest"
import * as Canary from "./canary.ts"

addEqualityTesters()

afterEach(() => assert.deepStrictEqual(Canary.take(), []))
