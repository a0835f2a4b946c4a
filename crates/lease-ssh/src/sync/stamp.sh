# Functions for the moment that changes are told from: what is newer was not written by a sync. Expects $lease_sync and
# $lease_clock, and that this shell has the lock.

# Whether a command may be at work on the tree: one runs, was killed, or nobody has looked yet at what it left.
lease_busy() {
  for lease_file in "$lease_sync"/open.*; do
    [ ! -e "$lease_file" ] || return 0
  done
  return 1
}
# Has the box look, which sets the moment as well.
lease_look() {
  lease_test=cnewer
  [ "$lease_clock" = fine ] || lease_test=newer
  /bin/sh "$lease_sync/look" "$lease_sync" '' "$lease_test" held
}
# Fails where commands that may be at work have changed something that no client was told; notes in $lease_watch whether
# there are any.
lease_is_quiet() {
  lease_watch=
  [ -n "$lease_clock" ] && [ -e "$lease_sync/stamp" ] && lease_busy || return 0
  lease_watch=yes
  : >"$lease_sync/wrote" && lease_look && [ ! -s "$lease_sync/drift" ]
}
# Sets the moment. Where commands may be at work, what they have changed since the last one is found first, apart from
# the paths in `wrote`, which are ours.
lease_stamp() {
  if [ -n "$lease_watch" ]; then
    lease_look
    return
  fi
  lease_first=
  [ -e "$lease_sync/stamp" ] || lease_first=yes
  : >"$lease_sync/stamp" && lease_tick "$lease_sync/stamp" || return 1
  # A command that came in between has marked itself before it started.
  [ -z "$lease_clock" ] || [ -n "$lease_first" ] || ! lease_busy
}
