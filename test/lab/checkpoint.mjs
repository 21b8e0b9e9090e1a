// CHECKPOINT on the server whose socket directory is the only argument: what `psql -c CHECKPOINT` does.
import { Client } from "pg"

const client = new Client({
  host: process.argv[2],
  user: "lab",
  database: "postgres",
  ssl: false,
  connectionTimeoutMillis: 5000
})
await client.connect()
await client.query("CHECKPOINT")
await client.end()
