# Functions for one writer at a time, without any program: the lock is a row of numbered files, the highest counts, and
# nobody ever removes the highest. Expects $lease_sync. Whoever sees that the holder of the highest is gone, or has said
# that it is free, makes the next one, which only one can. Nothing has to be removed to take over from the dead. Expects
# in $lease_own when this shell started, where that is known already.
lease_boot=-
if [ -r /proc/sys/kernel/random/boot_id ]; then read -r lease_boot </proc/sys/kernel/random/boot_id; fi
lease_top() {
  lease_top=0
  for lease_file in "$lease_sync"/lock.*; do
    lease_number=${lease_file##*.}
    case $lease_number in '' | *[!0-9]*) continue ;; esac
    [ "$lease_number" -le "$lease_top" ] || lease_top=$lease_number
  done
}
# When the process $1 started, in ticks of the system, or nothing where that cannot be told or it is only a dead one that
# nobody has waited for, as in a container whose first process waits for none.
lease_birth() {
  lease_birth=
  [ -r "/proc/$1/stat" ] && read -r lease_stat 2>/dev/null <"/proc/$1/stat" || return 0
  # shellcheck disable=SC2086
  set -- ${lease_stat##*) }
  case $1 in Z | X) ;; *) lease_birth=${20} ;; esac
}
# Whether the process $1 is at work.
lease_lives() {
  kill -0 "$1" 2>/dev/null || return 1
  lease_birth "$1"
  [ -n "$lease_birth" ] || [ ! -r "/proc/$1/stat" ]
}
# Whether the holder "pid birth boot" of a lock cannot be at work any more.
lease_gone() {
  [ "$1" != free ] || return 0
  [ -n "$3" ] || return 1
  [ "$3" = "$lease_boot" ] || return 0
  kill -0 "$1" 2>/dev/null || return 0
  lease_birth "$1"
  [ "$lease_birth" != "$2" ] && [ "$2" != - ]
}
lease_lock() {
  lease_birth=$lease_own
  [ -n "$lease_birth" ] || lease_birth "$$"
  lease_self="$$ ${lease_birth:--} $lease_boot"
  lease_turns=0 lease_waited=0 lease_seen_top=
  while :; do
    lease_top
    # How long a file has been empty is counted for each: another one's time says nothing about it.
    [ "$lease_top" = "$lease_seen_top" ] || lease_seen_top=$lease_top lease_waited=0
    lease_holder=
    if [ "$lease_top" -eq 0 ]; then
      lease_holder=free
    else
      read -r lease_holder 2>/dev/null <"$lease_sync/lock.$lease_top" || lease_holder=
    fi
    # shellcheck disable=SC2086
    if lease_gone $lease_holder || { [ -z "$lease_holder" ] && [ "$lease_waited" -ge 250 ]; }; then
      lease_mine=$lease_sync/lock.$((lease_top + 1)) lease_wanted=$((lease_top + 1)) lease_made=
      set -C
      if { { lease_made=yes; printf '%s\n' "$lease_self"; } >"$lease_mine"; } 2>/dev/null; then
        set +C
        # Somebody who held a higher number may have cleared ours away before.
        lease_top
        [ "$lease_top" -ne "$lease_wanted" ] || return 0
        continue
      fi
      set +C
      # Everybody would wait for the name of a holder in it.
      [ -z "$lease_made" ] || { rm -f -- "$lease_mine"; echo "the lock: No space left on device" >&2; return 1; }
      [ -d "$lease_sync" ] || return 1
    fi
    lease_turns=$((lease_turns + 1)) lease_waited=$((lease_waited + 1))
    [ "$lease_turns" -lt 3000 ] || return 1
    sleep 0.02 2>/dev/null || { sleep 1; lease_turns=$((lease_turns + 49)) lease_waited=$((lease_waited + 49)); }
  done
}
lease_unlock() {
  printf 'free\n' >"$lease_mine"
}
