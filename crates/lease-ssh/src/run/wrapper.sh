# Runs one user command at most once; keeps a record and a log of it that outlive the connection.
# $1 records, $2 working directory, $3 run id, $4 nonce of this attempt, $5 "setup" or "", $6 how files are looked at
# afterwards: by which test of `find`, "-" by somebody else, or "" by nobody; then the command. Only what POSIX promises,
# and few processes; without `tee` or Linux's /proc there is no log, and on a terminal there is none either.
lease_log_blocks=131072
lease_records=$1 lease_job=$1/jobs/$3 lease_nonce=$4
# What says that there is no room is said again by whoever asked: nothing of the command's has been printed yet.
lease_stop() { printf 'lease: %s\n' "$1" >&2; exit 222; }
# The reserve is room for one record on a full disk, so that a command can make more.
lease_free() { rm -f -- "$lease_records/reserve"; }
# The records are private as a whole, so what is below them needs no care of its own.
[ -d "$1" ] || (umask 077; mkdir -p -- "$1") || exit 222
# Whoever has read this far may have begun with it beside the reading.
[ -d "$lease_job" ] || wait
[ -d "$lease_job" ] || mkdir -p -- "$lease_job" || { lease_free; mkdir -p -- "$lease_job"; } || exit 222
# Writes $1: what `printf` makes of the rest.
lease_put() {
  lease_file=$1
  shift
  # shellcheck disable=SC2059
  { printf "$@" >"$lease_file" || { lease_free; printf "$@" >"$lease_file"; }; } 2>/dev/null
}
lease_logs=
# What a command prints on a terminal, it prints on that terminal.
if [ -n "$lease_own" ] && [ ! -t 1 ] && command -v tee >/dev/null; then lease_logs=yes; fi
# The guard: of all attempts with this id one makes this file, and only that one starts the command.
set -C
{ printf '' >"$lease_job/start"; } 2>/dev/null || {
  rm -f -- "$lease_job/setup.$4"
  [ -e "$lease_job/start" ] || lease_stop 'no room for a record'
  exit 222
}
set +C
# Whoever reads that a command has started finds its log, where there is one.
lease_unlogged=
[ -z "$lease_logs" ] || { true >"$lease_job/out" && true >"$lease_job/err"; } 2>/dev/null || lease_logs='' lease_unlogged=yes
lease_put "$lease_job/start" '%s %s %s\n' "$4" "$$" "$lease_own" || lease_stop 'no room for a record'
# The status is written into room that it has from now on: a disk that is full by then cannot lose it.
lease_put "$lease_job/exit" '        '
[ -e "$1/reserve" ] || { printf '%65536s' '' >"$1/reserve"; } 2>/dev/null
lease_why() { lease_put "$lease_job/why" '%s\n' "$1"; lease_stop "$1"; }
# A box that was never synced has no tree yet; an empty one does. A directory inside it must be there.
[ "$2" != "${1%/.lease}/work" ] || [ -d "$2" ] || mkdir -- "$2" 2>/dev/null
cd "$2" 2>/dev/null || lease_why "no directory $2"
lease_setup=
if [ -n "$5" ]; then
  lease_setup=$lease_job/setup.$4
  [ -r "$lease_setup" ] || lease_why 'the prepared environment is gone'
fi
# Until somebody has looked, nobody knows what the command did to the tree.
lease_mark=$1/sync/open.$3 lease_how=$6
if [ -n "$6" ] && [ -d "$1/sync" ]; then
  lease_put "$lease_mark" 'run %s\n' "$$" || lease_why 'no room for a record'
else
  lease_how=
fi
shift 6
# A signal to the group reaches us too. We survive it to write the status down; the command hears it. An asker that has
# gone is no reason to end either.
trap '' HUP INT QUIT TERM PIPE
# Descriptors 3 and 4 are the channel's. What this shell says about a child's death is not the command's output.
exec 3>&1 4>&2 2>/dev/null
# What a login shell printed is before these lines, and what the command prints behind them.
[ -t 3 ] || { echo "lease-1 $lease_nonce started" >&3; echo "lease-1 $lease_nonce started" >&4; }
[ -z "$lease_unlogged" ] || echo 'lease: the box has no room for a log of this command' >&4
# What is done beside the answer, which comes first.
lease_after() {
  if [ "${lease_how:--}" != - ]; then
    # Whoever comes next waits for this, and the one who waits for the status does not.
    lease_nice=
    ! command -v nice >/dev/null || lease_nice='nice'
    $lease_nice /bin/sh "${lease_mark%/*}/look" "${lease_mark%/*}" "$lease_mark" "$lease_how"
  fi
  # Old logs go, never those of a command that runs or that somebody may still come back to. The guard and the status stay.
  # This run is one of them, whether it has ended by now or not.
  lease_keep=47
  [ ! -e "$lease_job/out.status" ] || lease_keep=7
  cd "${lease_job%/*}" || exit
  set -- */setup.*
  [ ! -e "$1" ] || find . -mindepth 2 -maxdepth 2 -name 'setup.*' -mmin +15 -exec rm -f -- {} +
  set -- */out
  [ "$#" -gt 64 ] || [ "$lease_keep" = 7 ] || exit 0
  for lease_x do
    lease_x=${lease_x%/out}
    [ -e "$lease_x/end" ] || { read -r _ lease_pid lease_since <"$lease_x/start" && lease_alive "$lease_pid" "$lease_since"; } \
      || true >"$lease_x/end"
  done
  lease_keep=$((lease_keep - $(find . -mindepth 2 -maxdepth 2 -name end ! -path "./${lease_job##*/}/*" ! -mmin +15 | wc -l)))
  find . -mindepth 2 -maxdepth 2 -name end -mmin +15 -exec ls -1t {} + | while read -r lease_end; do
    lease_keep=$((lease_keep - 1))
    [ "$lease_keep" -lt 0 ] || continue
    lease_x=${lease_end%/end}
    mv -f -- "$lease_end" "$lease_x/swept"
    rm -f -- "$lease_x"/out* "$lease_x"/err* "$lease_x/unrelayed"
  done
}
lease_command() {
  (
    trap - HUP INT QUIT TERM PIPE
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
  # A status without its beginning and its newline is not read, so it need not be renamed into place.
  printf '=%s\n' "$lease_code" 1<>"$lease_job/exit"
}
# Logs one stream in $1 and prints it. At the limit the writer dies, having printed what it did not log.
lease_log() {
  ( lease_note "$1.writer"; trap - XFSZ; ulimit -f "$lease_log_blocks"; LC_ALL=C exec tee "$1" 2>"$1.said" ) || echo "$?" >"$1.status"
}
# Logs one stream in $1 and relays it to standard output. Who reads there may go, and the command does not notice.
lease_stream() {
  lease_relayed=0
  if [ -p /proc/self/fd/1 ] && [ -r /proc/self/fd/1 ]; then
    # A reader that hangs can be replaced by whoever opens the pipe.
    lease_log "$1"
    [ ! -e "$lease_job/unrelayed" ] || lease_relayed=1
  else
    lease_log "$1" | ( trap - PIPE; lease_note "$1.relay"; exec cat )
    lease_relayed=$?
  fi
  lease_written=0
  [ ! -e "$1.status" ] || read -r lease_written <"$1.status"
  # Somebody does not want the rest of the stream: with us its reader goes, as in a local pipeline.
  [ "$lease_written" != 137 ] || return
  # The end at the limit is one; another is that of the relay, which the writer finds closed, or a log that failed.
  case $lease_written in 0 | 153) ;; *) lease_failed "$1" && true >"$1.failed" ;; esac
  # Beyond the log the stream is relayed while there is somebody to relay it to, and counted.
  if [ "$lease_written" != 0 ] && [ "$lease_relayed" = 0 ]; then
    ( lease_note "$1.writer"; lease_note "$1.relay"; exec dd bs=131072 ) 2>"$1.beyond"
    lease_relayed=$?
    [ "$lease_relayed" != 137 ] || return
    # What it had read when it ended is nowhere.
    [ "$lease_relayed" = 0 ] || echo 1 >"$1.dropped"
  fi
  if [ "$lease_written" != 0 ] && [ "$lease_relayed" != 0 ]; then
    ( lease_note "$1.writer"; exec wc -c ) >>"$1.dropped" || return
  fi
  [ "$lease_relayed" = 0 ] || true >"$lease_job/unrelayed"
}
# Whether the log of $1 could not be written: the writer says so, or had no room to, or says nothing where there is none.
lease_failed() {
  while read -r lease_line; do
    case $lease_line in *'Broken pipe'*) ;; *) return 0 ;; esac
  done <"$1.said"
  [ ! -s "$1.said" ] || return 1
  [ "$lease_relayed" != 0 ] || return 0
  ! echo >"$1.probe"
}
if [ -n "$lease_logs" ]; then
  {
    # By `exec`: of what is redirected for a function alone a shell keeps copies, which would hold the streams open.
    { exec 6>&1 >&5; lease_command "$@"; } | lease_stream "$lease_job/err" >&4 3>&- 4>&- 5>&-
  } 5>&1 | lease_stream "$lease_job/out" >&3 3>&- 4>&-
else
  lease_command "$@" 6>&4
fi
true >"$lease_job/end"
# Not before the streams have ended: what still writes them may change the tree, too, and on a small box this would keep
# them from ending.
[ "${lease_how:--}" = - ] || echo 'look -' >"$lease_mark"
( lease_after ) </dev/null >/dev/null 2>&1 3>&- 4>&- &
lease_status
# The asker looks at the record then, and fetches what was not relayed.
[ ! -e "$lease_job/unrelayed" ] || exit 222
exit "$lease_code"
