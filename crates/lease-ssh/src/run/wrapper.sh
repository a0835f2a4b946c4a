# Runs one user command at most once and keeps a record of it that outlives the connection.
# $1 records, $2 working directory, $3 run id, $4 nonce of this attempt, $5 "setup" or ""; then the command.
# Only what POSIX promises: dash and busybox run it as well as bash.
lease_umask=$(umask)
umask 077
lease_job=$1/jobs/$3
mkdir -p -- "$lease_job" || exit 222
# The guard: of all attempts with this id one makes this directory, and only that one starts the command.
mkdir -- "$lease_job/start" 2>/dev/null || { rm -f -- "$lease_job/setup.$4"; exit 222; }
printf '%s\n' "$4" >"$lease_job/start/nonce" || exit 222
# A box that was never synced has no tree yet; an empty one does. A directory inside it must be there.
[ "$2" != "${1%/.lease}/work" ] || [ -d "$2" ] || (umask "$lease_umask"; mkdir -- "$2") 2>/dev/null
cd "$2" 2>/dev/null || { printf 'no directory %s\n' "$2" >"$lease_job/start/why"; exit 222; }
lease_setup=
if [ -n "$5" ]; then
  lease_setup=$lease_job/setup.$4
  [ -r "$lease_setup" ] || { echo 'the prepared environment is gone' >"$lease_job/start/why"; exit 222; }
fi
printf '%s\n' "$$" >"$lease_job/pid" || { echo 'no room for a record' >"$lease_job/start/why"; exit 222; }
shift 5
# A signal to the group reaches us too. We survive it to write the status down; the command does not inherit the traps.
trap : HUP INT QUIT TERM
# What this shell says about its child's death is not the command's output.
exec 3>&2 2>/dev/null
(
  trap - HUP INT QUIT TERM
  exec 2>&3 3>&-
  umask "$lease_umask"
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
printf '%s\n' "$lease_code" >"$lease_job/exit.tmp" && mv -f -- "$lease_job/exit.tmp" "$lease_job/exit"
exit "$lease_code"
