# A process of ours is known by its number and the time of its start, so that no later one is taken for it. Writes both of
# the shell that asks to $1, if that is a file.
lease_note() {
  read -r lease_pid _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ lease_since _ </proc/self/stat
  [ -z "$1" ] || echo "$lease_pid $lease_since" >"$1"
}
# When this shell started, or nothing where that cannot be told. A shell reads byte after byte, so it is read once.
lease_pid='' lease_since=''
{ lease_note ''; } 2>/dev/null
lease_own=$lease_since
[ "$lease_pid" = "$$" ] || lease_own=
