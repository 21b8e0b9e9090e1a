import { all } from "./fuzz.ts"
import { answers } from "./targets/answers.ts"

all(answers, 20_000)
