# A function that tells whether nothing of ours, and nothing else, is in the tree of the lease's directory $1. Expects
# $lease_sync.
lease_is_bare() {
  [ ! -s "$lease_sync/generation" ] && [ ! -e "$lease_sync/manifest" ] && [ ! -e "$lease_sync/log" ] || return 1
  lease_tree=$1/work
  [ -d "$lease_tree" ] && [ ! -L "$lease_tree" ] || return 1
  for lease_file in "$lease_tree"/* "$lease_tree"/.[!.]* "$lease_tree"/..?*; do
    if [ -e "$lease_file" ] || [ -L "$lease_file" ]; then return 1; fi
  done
}
