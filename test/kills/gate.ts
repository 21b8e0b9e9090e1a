/**
 * The one door to a pretended world. Everything that a program asks of it passes here and is a boundary, and a boundary
 * has moments at which a test can act: a kill there is a kill between two things that the world could tell apart.
 */

/**
 * `before`: it was asked, and nothing is done yet. `during`: it is being done, and will be done whoever dies. `after`: it
 * is done, and the answer has not left. `replied`: the answer has left.
 */
export const cuts = ["before", "during", "after", "replied"] as const
export type Cut = typeof cuts[number]

/** What was asked, and the how manieth of its kind it is, from 1. */
export interface Boundary {
  readonly key: string
  readonly nth: number
}

export interface Point extends Boundary {
  readonly cut: Cut
}

export const nameOf = ({ cut, key, nth }: Point): string => `${cut} ${key} #${nth}`

/** What somebody asks for. */
export interface Asked {
  readonly key: string
  /** Told when the effect has begun: what it then becomes does not depend on who has asked. */
  readonly begin: () => Promise<unknown>
  /** Gives the answer out, and returns when it has left. Not called when the one who has asked is dead. */
  readonly reply: (answer: never) => Promise<void>
  /** Whether it does something, so that there is a `during`. */
  readonly isOrder: boolean
}

/** What a test does at a point. With `gone` nobody waits for the answer any more, and what was not begun never is. */
export type Act = () => Promise<"gone" | "goes on"> | "gone" | "goes on"

export class Gate {
  #counts = new Map<string, number>()
  #seen: Array<Boundary & { readonly isOrder: boolean }> = []
  #armed: { readonly point: Point; readonly act: Act } | undefined
  #open = 0

  /** Forgets what was asked, and acts at this point; nowhere without one. */
  arm(point?: Point, act?: Act): void {
    this.#counts = new Map()
    this.#seen = []
    this.#armed = point === undefined || act === undefined ? undefined : { point, act }
  }

  /** What was asked since, in order. */
  get seen(): ReadonlyArray<Boundary & { readonly isOrder: boolean }> {
    return this.#seen
  }

  /** Whether anything that was asked is still being done. */
  get isIdle(): boolean {
    return this.#open === 0
  }

  async pass(asked: Asked): Promise<void> {
    this.#open++
    try {
      await this.#through(asked)
    } finally {
      this.#open--
    }
  }

  async #through({ begin, isOrder, key, reply }: Asked): Promise<void> {
    const nth = (this.#counts.get(key) ?? 0) + 1
    this.#counts.set(key, nth)
    this.#seen.push({ key, nth, isOrder })
    const at = async (cut: Cut) => {
      const armed = this.#armed
      if (armed === undefined) return "goes on"
      const { point } = armed
      if (point.key !== key || point.nth !== nth || point.cut !== cut) return "goes on"
      this.#armed = undefined
      return armed.act()
    }
    if (await at("before") === "gone") return
    const work = begin()
    const during = isOrder ? await at("during") : "goes on"
    const answer = await work
    if (during === "gone" || await at("after") === "gone") return
    await reply(answer as never)
    await at("replied")
  }
}

/** Every point of what was asked in a clean run. A question has no `during`, and its two middle cuts are one. */
export const pointsOf = (seen: Gate["seen"]): ReadonlyArray<Point> =>
  seen.flatMap(({ isOrder, key, nth }) =>
    cuts.filter((cut) => isOrder || cut !== "during").map((cut) => ({ key, nth, cut }))
  )
