# Unpacks the tree from standard input and seals it. $1 root, $2 nonce.
LC_ALL=C; export LC_ALL
records=$1/.lease/sync
cd "$1" || exit 1
[ "$(cat "$records/dirty" 2>/dev/null)" = "$2" ] || { echo superseded; exit 0; }
# A file is removed before it is written anew, so that nothing is written through a link. busybox does so by itself.
case $(tar --version 2>/dev/null) in
*"GNU tar"*) set -- "$1" "$2" --unlink-first ;;
*bsdtar*) set -- "$1" "$2" -U ;;
*) set -- "$1" "$2" ;;
esac
nonce=$2
shift 2
tar -x "$@" -o -p -f - || {
  # 128 and SIGXFSZ: a limit on the size of files ended it without a word.
  [ $? -ne 153 ] || echo "File too large" >&2
  exit 1
}
# tar takes a stream that ends between two members for a whole one; the last member tells.
[ -e "$records/complete.$nonce" ] || { echo "the stream was cut off" >&2; exit 1; }
cd work || exit 1
# shellcheck disable=SC2016
xargs -0 sh -c 'for path do
  above=$path
  while :; do
    case $above in */*) above=${above%/*} ;; *) break ;; esac
    [ ! -L "$above" ] || continue 2
  done
  [ -d "$path" ] && [ ! -L "$path" ] || rm -f -- "./$path"
done' lease <"$records/retract.$nonce" || exit 1
cd "$records" || exit 1
[ "$(cat dirty 2>/dev/null)" = "$nonce" ] || { echo superseded; exit 0; }
mv -f -- "in.$nonce/new" manifest || exit 1
rm -rf -- "in.$nonce" "complete.$nonce" "retract.$nonce"
rm -f -- dirty || exit 1
echo sealed
