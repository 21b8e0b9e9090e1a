/**
 * A light app: one process that answers on a UNIX socket, with the commands of a stack.
 */
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"

const program = `use strict; use IO::Socket::UNIX; use POSIX ();
my ($verb, $path) = @ARGV;
sub answers { my $s = IO::Socket::UNIX->new(Peer => $path) or return 0; my $l = <$s>; return defined $l }
if ($verb eq 'status') { exit(answers() ? 0 : 3) }
if ($verb eq 'stop') {
  open(my $f, '<', "$path.pid") or exit 0; my $pid = <$f>; kill 'TERM', $pid;
  while (kill 0, $pid) { last unless answers(); select(undef, undef, undef, 0.005) }
  exit 0;
}
if (answers()) { exit 0 }
unlink $path;
my $s = IO::Socket::UNIX->new(Local => $path, Listen => 64) or exit 1;
my $pid = fork;
if ($pid) { open(my $f, '>', "$path.pid"); print $f $pid; close $f; exit 0 }
POSIX::setsid();
open(STDIN, '<', '/dev/null'); open(STDOUT, '>', '/dev/null'); open(STDERR, '>', '/dev/null');
while (my $c = $s->accept) { print $c "up\\n"; close $c }
`

export interface App {
  readonly stacks: object
  readonly stop: Effect.Effect<void>
  readonly start: Effect.Effect<void>
  /** Asks every millisecond until it answers; answers with the time, as `performance.now()`. */
  readonly up: Effect.Effect<number>
  readonly isUp: Effect.Effect<boolean>
}

const asks = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = Net.connect({ path })
    socket.once("data", () => {
      socket.destroy()
      resolve(true)
    })
    socket.once("error", () => resolve(false))
    socket.once("end", () => resolve(false))
  })

/** The app below the directory, not started. */
export const make = (directory: string): App => {
  Fs.mkdirSync(directory, { recursive: true })
  const file = Path.join(directory, "light.pl")
  const socket = Path.join(directory, "light.sock")
  Fs.writeFileSync(file, program)
  const words = (verb: string) => ["perl", file, verb, socket]
  const call = (verb: string) =>
    Effect.sync(() => {
      execFileSync("perl", words(verb).slice(1), { stdio: "ignore" })
    })
  return {
    stacks: {
      light: {
        command: { stop: words("stop"), start: words("start"), status: words("status") },
        stopTimeout: "5s",
        startTimeout: "10s"
      }
    },
    stop: call("stop"),
    start: call("start"),
    isUp: Effect.promise(() => asks(socket)),
    up: Effect.promise(async () => {
      while (!await asks(socket)) await new Promise((resolve) => setTimeout(resolve, 1))
      return performance.now()
    })
  }
}
