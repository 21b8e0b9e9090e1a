import { all } from "./fuzz.ts"
import { words } from "./targets/words.ts"

all(words, 200_000)
