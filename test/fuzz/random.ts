/**
 * Randomness that can be had again: every input of a fuzz run is made from the seed of the run and its own number alone.
 */

export interface Random {
  /** 0 to `below` - 1. */
  readonly int: (below: number) => number
  readonly chance: (oneIn: number) => boolean
  readonly pick: <A>(from: readonly [A, ...ReadonlyArray<A>]) => A
}

const mixed = (value: number) => {
  let bits = Math.imul(value ^ (value >>> 16), 0x21f0aaad)
  bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97)
  return (bits ^ (bits >>> 15)) >>> 0
}

/** For input number `index` of a run (splitmix32). */
export const random = (seed: number, index: number): Random => {
  let state = mixed(mixed(seed) + index)
  const int = (below: number) => {
    state = (state + 0x9e3779b9) | 0
    return mixed(state) % below
  }
  return {
    int,
    chance: (oneIn) => int(oneIn) === 0,
    pick: (from) => from[int(from.length)] ?? from[0]
  }
}
