import { sockets } from "./sockets.ts"

sockets(10_000)
