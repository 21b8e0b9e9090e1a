import { all } from "./fuzz.ts"
import { config } from "./targets/config.ts"

all(config, 20_000)
