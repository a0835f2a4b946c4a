# Unpacks the tree from standard input. $1 root, $2 nonce, $3 the extractor's option, $4 "-m" or "".
LC_ALL=C; export LC_ALL
lease_sync=$1/.lease/sync
cd "$1" || exit 1
lease_lock || { echo "the box's tree is locked" >&2; exit 1; }
trap lease_unlock EXIT
lease_held='' lease_held_by=''
read -r lease_held lease_held_by <"$lease_sync/generation" || :
[ "$lease_held $lease_held_by" = "dirty $2" ] || { echo superseded; exit 0; }
# shellcheck disable=SC2086
tar -x $3 $4 -o -p -f - || {
  # 128 and SIGXFSZ: a limit on the size of files ended it without a word.
  [ $? -ne 153 ] || echo "File too large" >&2
  exit 1
}
# tar takes a stream that ends between two members for a whole one; the last member tells.
[ -e "$lease_sync/complete.$2" ] || { echo "the stream was cut off" >&2; exit 1; }
cd work || exit 1
# shellcheck disable=SC2016
xargs -0 sh -c 'for path do
  above=$path
  while :; do
    case $above in */*) above=${above%/*} ;; *) break ;; esac
    [ ! -L "$above" ] || continue 2
  done
  [ -d "$path" ] && [ ! -L "$path" ] || rm -f -- "./$path"
done' lease <"$lease_sync/retract.$2" || exit 1
echo unpacked
