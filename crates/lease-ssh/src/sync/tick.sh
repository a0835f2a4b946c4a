# Waits until a change can be told from ours by its time. Expects $lease_sync, and in $lease_clock how finely the box's
# `find` reads times: `fine`, `whole` for seconds, or nothing where nobody looks.
lease_tick() {
  [ -n "$lease_clock" ] || return 0
  if [ "$lease_clock" = fine ]; then
    lease_turns=0
    while [ "$lease_turns" -lt 400 ]; do
      : >"$lease_sync/probe"
      # shellcheck disable=SC3013
      [ ! "$lease_sync/probe" -nt "$lease_sync/stamp" ] || return 0
      lease_turns=$((lease_turns + 1))
    done
    sleep 0.02 2>/dev/null && return 0
  fi
  sleep 1
}
