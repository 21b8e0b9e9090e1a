/**
 * Binds a server to where it listens: a port, or a UNIX socket that is there with its mode from the first moment.
 */
import { Effect, Schema, type Scope } from "effect"
import * as Fs from "node:fs/promises"
import * as Net from "node:net"
import * as Path from "node:path"
import { errnoOf, reasonOf as diskReasonOf } from "../durable.ts"

/** A server cannot listen there. */
export class ListenFailed extends Schema.TaggedError<ListenFailed>()("ListenFailed", {
  place: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `cannot listen on ${this.place}: ${this.reason}`
  }
}

export const describe = (place: { readonly socket: string } | { readonly host: string; readonly port: number }) =>
  "socket" in place ? place.socket : `${place.host.includes(":") ? `[${place.host}]` : place.host}:${place.port}`

const wayOut: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program listens there; end it, or take another one",
  EADDRNOTAVAIL: "this machine has no such address",
  ENOENT: "its directory does not exist"
}

export const reasonOf = (error: unknown): string => wayOut[errnoOf(error)] ?? diskReasonOf(error)

const failed = (place: string) => (error: unknown) => new ListenFailed({ place, reason: reasonOf(error) })

const listen = (server: Net.Server, place: string, options: Net.ListenOptions) =>
  Effect.async<void, ListenFailed>((resume) => {
    const onError = (error: Error) => resume(failed(place)(error))
    server.once("error", onError)
    server.listen(options, () => {
      server.off("error", onError)
      resume(Effect.void)
    })
  })

/** Bytes of the longest path of a socket (unix(7)); a longer one is cut without a word. */
const longestPath = 107

/** Whether somebody accepts connections on the socket. */
const isAnswered = (path: string) =>
  Effect.async<boolean>((resume) => {
    const socket = Net.connect({ path })
    const end = (answered: boolean) => {
      socket.destroy()
      resume(Effect.succeed(answered))
    }
    socket.once("connect", () => end(true)).once("error", (error) => end(errnoOf(error) === "EAGAIN"))
    return Effect.sync(() => socket.destroy())
  }).pipe(Effect.timeoutTo({ duration: "2 seconds", onSuccess: (answered) => answered, onTimeout: () => true }))

/** A socket whose server was killed is left behind, and may be replaced; anything else may not. */
const makeWay = Effect.fnUntraced(function*(path: string) {
  const found = yield* Effect.tryPromise({
    try: () =>
      Fs.lstat(path).catch((error: unknown) => errnoOf(error) === "ENOENT" ? undefined : Promise.reject(error)),
    catch: failed(path)
  })
  if (found === undefined) return
  if (!found.isSocket()) {
    return yield* new ListenFailed({ place: path, reason: "it is there, and no socket; remove it" })
  }
  if (yield* isAnswered(path)) {
    return yield* new ListenFailed({ place: path, reason: "another program listens there; end it" })
  }
})

/** Listens on the port. */
export const bindPort = (
  server: Net.Server,
  place: { readonly host: string; readonly port: number }
): Effect.Effect<void, ListenFailed> => listen(server, describe(place), { host: place.host, port: place.port })

/**
 * Listens on the path. The socket is made in a directory that nobody else can enter, and gets its name with its mode: so
 * there is no moment in which others could connect.
 */
export const bindSocket = Effect.fnUntraced(
  function*(
    server: Net.Server,
    { group, mode, socket }: {
      readonly socket: string
      readonly mode: number
      /** The id of the group that the mode speaks of. Default: ours. */
      readonly group?: number | undefined
    }
  ): Effect.fn.Return<void, ListenFailed, Scope.Scope> {
    // 10: the directory in which it is made
    if (Buffer.byteLength(socket) > longestPath || Buffer.byteLength(Path.dirname(socket)) > longestPath - 10) {
      return yield* new ListenFailed({ place: socket, reason: "the path is too long for a socket; take a shorter one" })
    }
    yield* makeWay(socket)
    const attempt = <A>(act: () => Promise<A>) => Effect.tryPromise({ try: act, catch: failed(socket) })
    yield* attempt(() => Fs.mkdir(Path.dirname(socket), { recursive: true, mode: 0o711 }))
    const inode = yield* Effect.acquireUseRelease(
      attempt(() => Fs.mkdtemp(Path.join(Path.dirname(socket), ".q-"))),
      (directory) =>
        Effect.gen(function*() {
          const made = Path.join(directory, "s")
          yield* listen(server, socket, { path: made })
          // before the mode: chown(2) may clear bits, and the wrong group must never have been let in
          if (group !== undefined) yield* attempt(() => Fs.chown(made, process.geteuid?.() ?? 0, group))
          yield* attempt(() => Fs.chmod(made, mode))
          const { ino } = yield* attempt(() => Fs.lstat(made))
          yield* attempt(() => Fs.rename(made, socket))
          return ino
        }),
      (directory) => Effect.promise(() => Fs.rm(directory, { recursive: true, force: true }).catch(() => undefined))
    )
    yield* Effect.addFinalizer(() =>
      Effect.promise(() =>
        Fs.lstat(socket).then(({ ino }) => ino === inode ? Fs.unlink(socket) : undefined).catch(() => undefined)
      )
    )
  }
)
