# Runs one user command at most once; keeps a record and a log of it that outlive the connection.
# $1 records, $2 working directory, $3 run id, $4 nonce of this attempt, $5 "setup" or "", $6 how files are looked at
# afterwards: by which test of `find`, "-" by somebody else, or "" by nobody; then the command. Only what POSIX promises,
# and few processes; without `tee` or Linux's /proc there is no log.
lease_log_blocks=131072
lease_job=$1/jobs/$3
# The records are private as a whole, so what is below them needs no care of its own.
[ -d "$1" ] || (umask 077; mkdir -p -- "$1") || exit 222
mkdir -p -- "$lease_job" || exit 222
# A process of ours is known by its number and the time of its start, so that no later one is taken for it.
lease_note() {
  read -r lease_pid _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ lease_since _ </proc/self/stat
  [ -z "$1" ] || echo "$lease_pid $lease_since" >"$1"
}
lease_pid='' lease_since=''
{ lease_note ''; } 2>/dev/null
lease_logs=
if [ "$lease_pid" = "$$" ] && command -v tee >/dev/null; then lease_logs=yes; else lease_since=; fi
# The guard: of all attempts with this id one makes this file, and only that one starts the command.
set -C
{ printf '%s %s %s\n' "$4" "$$" "$lease_since" >"$lease_job/start"; } 2>/dev/null || { rm -f -- "$lease_job/setup.$4"; exit 222; }
set +C
# A box that was never synced has no tree yet; an empty one does. A directory inside it must be there.
[ "$2" != "${1%/.lease}/work" ] || [ -d "$2" ] || mkdir -- "$2" 2>/dev/null
cd "$2" 2>/dev/null || { printf 'no directory %s\n' "$2" >"$lease_job/why"; exit 222; }
lease_setup=
if [ -n "$5" ]; then
  lease_setup=$lease_job/setup.$4
  [ -r "$lease_setup" ] || { echo 'the prepared environment is gone' >"$lease_job/why"; exit 222; }
fi
{ [ -z "$lease_logs" ] || { : >"$lease_job/out" && : >"$lease_job/err"; }; } || { echo 'no room for a record' >"$lease_job/why"; exit 222; }
# Until somebody has looked, nobody knows what the command did to the tree.
lease_mark=$1/sync/open.$3 lease_how=$6
if [ -n "$6" ] && [ -d "$1/sync" ]; then
  printf 'run %s\n' "$$" >"$lease_mark" || { echo 'no room for a record' >"$lease_job/why"; exit 222; }
else
  lease_how=
fi
shift 6
# Whoever asked for a sync waits for this line, which is none of the command's.
[ -z "${lease_expected-}" ] || lease_say started
# A signal to the group reaches us too. We survive it to write the status down; the command hears it.
trap '' HUP INT QUIT TERM
# Descriptors 3 and 4 are the channel's. What this shell says about a child's death is not the command's output.
exec 3>&1 4>&2 2>/dev/null
lease_command() {
  (
    trap - HUP INT QUIT TERM
    exec 2>&6 3>&- 4>&- 5>&- 6>&-
    if [ -n "$lease_setup" ]; then . "$lease_setup"; fi
    # The shell's own words for this name its script and line, which are nobody's business.
    case $1 in
      */*) [ ! -d "$1" ] || { printf 'lease: %s: is a directory\n' "$1" >&2; exit 126; } ;;
      *) command -v "$1" >/dev/null 2>&1 || { printf 'lease: %s: command not found\n' "$1" >&2; exit 127; } ;;
    esac
    # `exec` would take a leading hyphen for an option.
    case $1 in -*) printf '%s: not found\n' "$1" >&2; exit 127 ;; esac
    exec "$@"
  )
  lease_code=$?
  [ -z "$lease_setup" ] || rm -f -- "$lease_setup"
  if [ "${lease_how:--}" != - ]; then
    # Beside the answer: whoever comes next waits for it, and the one who waits for this status does not.
    echo 'look -' >"$lease_mark"
    /bin/sh "${lease_mark%/*}/look" "${lease_mark%/*}" "$lease_mark" "$lease_how" </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- &
  fi
  # A status without its newline is not read, so it need not be renamed into place.
  printf '%s\n' "$lease_code" >"$lease_job/exit"
}
# Logs one stream in $1 and relays it to standard output. The relay may die, and the command does not notice.
lease_stream() {
  trap '' PIPE
  {
    # At the limit the writer dies, having relayed what it did not log.
    ( lease_note "$1.writer"; trap - XFSZ; ulimit -f "$lease_log_blocks"; exec tee "$1" ) || echo "$?" >"$1.status"
  } | ( trap - PIPE; lease_note "$1.relay"; exec cat )
  lease_relayed=$?
  lease_written=0
  [ ! -e "$1.status" ] || read -r lease_written <"$1.status"
  # Somebody does not want the rest of the stream: with us its reader goes, as in a local pipeline.
  [ "$lease_written" != 137 ] || return
  # Beyond the log the stream is relayed while there is somebody to relay it to, and counted.
  if [ "$lease_written" != 0 ] && [ "$lease_relayed" = 0 ]; then
    ( lease_note "$1.writer"; lease_note "$1.relay"; exec dd bs=131072 ) 2>"$1.beyond"
    lease_relayed=$?
    [ "$lease_relayed" != 137 ] || return
  fi
  if [ "$lease_written" != 0 ] && [ "$lease_relayed" != 0 ]; then
    ( lease_note "$1.writer"; exec wc -c ) >"$1.dropped" || return
  fi
  [ "$lease_relayed" = 0 ] || : >"$lease_job/unrelayed"
}
if [ -n "$lease_logs" ]; then
  {
    lease_command "$@" 6>&1 >&5 | lease_stream "$lease_job/err" >&4 3>&- 4>&- 5>&-
  } 5>&1 | lease_stream "$lease_job/out" >&3 3>&- 4>&-
else
  lease_command "$@" 6>&4
fi
: >"$lease_job/end"
# Old records go, never one that runs or that somebody may still come back to.
(
  lease_keep=48
  [ ! -e "$lease_job/out.status" ] || lease_keep=8
  cd "${lease_job%/*}" || exit
  set -- */
  [ "$#" -gt 64 ] || [ "$lease_keep" = 8 ] || exit 0
  find . -mindepth 2 -maxdepth 2 -name end -exec ls -1t {} + | while read -r lease_end; do
    lease_keep=$((lease_keep - 1))
    [ "$lease_keep" -ge 0 ] || [ -z "$(find "$lease_end" -mmin +15)" ] || rm -rf -- "${lease_end%/end}"
  done
) </dev/null >/dev/null 2>&1 3>&- 4>&- &
lease_code=222
read -r lease_code <"$lease_job/exit"
# The asker looks at the record then, and fetches what was not relayed.
[ ! -e "$lease_job/unrelayed" ] || exit 222
exit "$lease_code"
