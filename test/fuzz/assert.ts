/**
 * The assertions of chai that are used here, without what they do for a good message: a fuzz run makes millions of them.
 */
import { deepStrictEqual as same } from "node:assert"

const fail = (what: string, message = ""): never => {
  throw new Error(message === "" ? what : `${message}: ${what}`)
}

const shown = (value: unknown) => (JSON.stringify(value) ?? String(value)).slice(0, 1_000)

export const isTrue = (value: boolean, message?: string) => value || fail("it is not so", message)

export const isFalse = (value: boolean, message?: string) => !value || fail("it is so", message)

export const strictEqual = (found: unknown, wanted: unknown, message?: string) =>
  found === wanted || fail(`expected ${shown(wanted)}, found ${shown(found)}`, message)

export const deepEqual = (found: unknown, wanted: unknown) => same(found, wanted)

export const include = (all: string | ReadonlyArray<string>, one: string) =>
  all.includes(one) || fail(`there is no ${shown(one)} in ${shown(all)}`)

export const match = (text: string, shape: RegExp) => shape.test(text) || fail(`${shown(text)} is not ${shape}`)

export const notMatch = (text: string, shape: RegExp) => !shape.test(text) || fail(`${shown(text)} is ${shape}`)

export const isAtMost = (number: number, most: number) => number <= most || fail(`${number} is more than ${most}`)
