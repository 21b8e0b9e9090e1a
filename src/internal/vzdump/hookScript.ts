/**
 * The program that `script:` of /etc/vzdump.conf names. vzdump calls it with an empty environment, in each of its phases,
 * and fails the backup when it fails.
 */

/** The second line tells that a file is one of ours. */
export const signature = "# Written by: quiesce vzdump-hook --write"

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`

/**
 * A program for `sh`. Only the phase in which the guest is asked needs more than the shell. `fails`: whether the exit
 * code of the command counts.
 */
export const text = (command: ReadonlyArray<string>, fails: boolean): string =>
  `#!/bin/sh
${signature}
[ "$1" = backup-start ] || exit 0
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
${command.map(quoted).join(" ")} -- "$@"
${fails ? "exit $?" : "exit 0"}
`
