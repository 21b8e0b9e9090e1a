/**
 * One clock for all processes of this machine, in milliseconds: CLOCK_MONOTONIC, which no adjustment of the time moves.
 */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6

/**
 * What is added to a moment of this clock for the milliseconds since the epoch that a process that was started a moment
 * ago has: the edge of a millisecond is waited for.
 */
export const toWall = (): number => {
  const before = Date.now()
  for (;;) {
    const wall = Date.now()
    if (wall !== before) return wall - now()
  }
}
