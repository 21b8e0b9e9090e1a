// What one process can do at best: CHECKPOINT, sync, CHECKPOINT, and then stop, snapshot and start, over the Engine API.
// It verifies nothing, writes nothing down, and leaves the app down if it dies.
import { execFileSync } from "node:child_process"
import * as Http from "node:http"
import { Client } from "pg"

const [socketPath, container, port, source, snapshot] = process.argv.slice(2)
const agent = new Http.Agent({ keepAlive: true })

const post = (path) =>
  new Promise((resolve, reject) => {
    Http.request({ socketPath, agent, method: "POST", path }, (answer) => {
      answer.resume()
      answer.on("end", () => answer.statusCode < 300 ? resolve() : reject(new Error(`${path}: ${answer.statusCode}`)))
    }).on("error", reject).end()
  })

const client = new Client({ host: "127.0.0.1", port: Number(port), user: "postgres", database: "postgres" })
client.on("error", () => {})
await client.connect()
await client.query("CHECKPOINT")
execFileSync("sync", ["-f", source])
await client.query("CHECKPOINT")
await client.end()
await post(`/containers/${container}/stop`)
execFileSync("btrfs", ["-q", "subvolume", "snapshot", "-r", source, snapshot])
await post(`/containers/${container}/start`)
agent.destroy()
