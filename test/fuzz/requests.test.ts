import { all } from "./fuzz.ts"
import { http } from "./targets/requests.ts"

all(http, 300)
