# Starts the command only where the box holds what its client believes. $1 the lease's directory, $2 nonce of this
# attempt, $3 the expected generation, $4 the survey that has just looked at what commands left, or ""; what follows is
# the next part's. The answer is one line on standard error.
lease_root=$1 lease_sync=$1/.lease/sync lease_nonce=$2 lease_expected=$3 lease_looked=$4
shift 4
lease_say() { printf 'lease-1 %s %s\n' "$lease_nonce" "$1" >&2; }
lease_refuse() { lease_say "refused $1"; exit 222; }
lease_boot=-
if [ -r /proc/sys/kernel/random/boot_id ]; then read -r lease_boot </proc/sys/kernel/random/boot_id; fi
lease_current() {
  lease_held='' lease_held_boot=''
  [ ! -f "$lease_sync/generation" ] || read -r lease_held lease_held_boot <"$lease_sync/generation" || :
  [ "$lease_held" = "$lease_expected" ] && [ "$lease_held_boot" = "$lease_boot" ] \
    && [ -d "$lease_root/work" ] && [ ! -L "$lease_root/work" ]
}
# Waits for those who look at what an earlier command left; a command that still runs is not waited for.
lease_seen() {
  lease_turns=0
  while :; do
    lease_open=
    for lease_file in "$lease_sync"/open.*; do
      if [ -e "$lease_file" ]; then lease_open=$lease_file; break; fi
    done
    [ -n "$lease_open" ] || return 0
    lease_what='' lease_pid=''
    read -r lease_what lease_pid 2>/dev/null <"$lease_open" || :
    # It may have gone in between.
    [ -e "$lease_open" ] || continue
    [ "$lease_what" = look ] || return 1
    # The number is written over a hyphen, and may be read while it is.
    case $lease_pid in -*) ;; *) kill -0 "$lease_pid" 2>/dev/null || [ ! -e "$lease_open" ] || return 1 ;; esac
    lease_turns=$((lease_turns + 1))
    [ "$lease_turns" -lt 500 ] || return 1
    sleep 0.02 2>/dev/null || { sleep 1; lease_turns=$((lease_turns + 49)); }
  done
}
lease_current || lease_refuse stale
[ -n "$lease_looked" ] || lease_seen || lease_refuse unseen
lease_told || lease_refuse drift
