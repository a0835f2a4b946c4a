# Waits until a change can be told by its time from what was there when $1 was written. Expects $lease_sync, and in
# $lease_clock how finely the box's `find` reads times: `fine`, `whole` for seconds, or nothing where nobody looks.
lease_tick() {
  [ -n "$lease_clock" ] || return 0
  [ "$lease_clock" = fine ] || { sleep 1; return 0; }
  lease_turns=0
  while [ "$lease_turns" -lt 400 ]; do
    : >"$lease_sync/probe" || return 1
    # shellcheck disable=SC3013
    if [ "$lease_sync/probe" -nt "$1" ] 2>/dev/null; then return 0; fi
    lease_turns=$((lease_turns + 1))
  done
  # The shell may read whole seconds, and so may the file system write them. `find` will be asked, so it is asked now.
  while [ "$lease_turns" -lt 700 ]; do
    sleep 0.02 2>/dev/null || { sleep 1; lease_turns=$((lease_turns + 49)); }
    : >"$lease_sync/probe" || return 1
    [ -z "$(find "$lease_sync/probe" -cnewer "$1" 2>/dev/null)" ] || return 0
    lease_turns=$((lease_turns + 1))
  done
  echo "the clock of the box's file system stands still" >&2
  return 1
}
