# shellcheck shell=sh
# What every script of the desk begins with. The arguments stand in front of it: the seconds that a command may take,
# the shared directory, and then those that the script names. A command reads nothing of ours.
set -u
umask 077
LIMIT=$1 SHARED=$2
shift 2

fact() { printf 'lease1 F %s %s\n' "$1" "$2"; }
yes_if() {
    fact=$1
    shift
    if "$@"; then fact "$fact" yes; else fact "$fact" no; fi
}

# Runs a command within "$LIMIT" seconds and frames its exit code, its output and the end of its error output.
part() {
    printf 'lease1 P %s\n' "$1"
    shift
    {
        {
            out=$(timeout -k 5 "$LIMIT" "$@" 2>&3 3>&- 4>&- </dev/null)
            printf 'lease1 R %s\n' "$?" >&4
            [ -z "$out" ] || printf '%s\n' "$out" | sed 's/^/lease1 O /' >&4
        } 3>&1 | tail -c 4000 | sed 's/^/lease1 E /' >&4
    } 4>&1
}

# The jobs of this user, each on a line that begins with `J|`; what is free text comes last.
queue() {
    part squeue squeue --me -h -t all "$@" -o 'J|%A|%T|%r|%N|%j|%k'
}

# What is in the shared directory: its listing, or that there is none yet. A directory that cannot be read is neither.
shared_listing() {
    part shared ls -A1 "$SHARED"
    part parent ls -A1 "$(dirname "$SHARED")"
    fact shared_name "$(basename "$SHARED")"
}

echo 'lease1 begin'
