import { sockets } from "./sockets.ts"

sockets(300)
