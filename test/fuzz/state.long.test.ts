import { all } from "./fuzz.ts"
import { state } from "./targets/state.ts"

all(state, 200_000)
