// A client that asks PostgreSQL for an answer every millisecond, and again at once after a failure. Prints every gap
// between two answers that is longer than 20 ms: {"from":…,"to":…}, milliseconds since the epoch.
import { Client } from "pg"

const [port] = process.argv.slice(2).map(Number)
const clock = () => performance.timeOrigin + performance.now()
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis))
let last = clock()

const session = async () => {
  const client = new Client({
    host: "127.0.0.1",
    port,
    user: "postgres",
    database: "postgres",
    connectionTimeoutMillis: 1000
  })
  client.on("error", () => {})
  try {
    await client.connect()
    for (;;) {
      await client.query("select 1")
      const now = clock()
      if (now - last > 20) console.log(JSON.stringify({ from: last, to: now }))
      last = now
      await pause(1)
    }
  } finally {
    client.end().catch(() => {})
  }
}

for (;;) {
  await session().catch(() => {})
  await pause(1)
}
