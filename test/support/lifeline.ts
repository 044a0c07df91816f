/**
 * Script for `/bin/sh -c SCRIPT sh PROGRAM ARG…` with a pipe as fd 3: kills the program when the process that holds the other end dies,
 * however that happens. It waits in the shell's own process; a line on the pipe says "ended already".
 */
export const withLifeline = '{ read -r _ || kill -KILL $$; } <&3 >/dev/null 2>&1 & exec "$@" 3<&-';
