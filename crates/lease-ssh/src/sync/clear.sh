# Marks the tree as being changed, removes what is gone, and looks for what is in the way.
# $1 root, $2 nonce; a tar with the lists on standard input. Answers with NUL-ended paths that are in the way.
umask 077
LC_ALL=C; export LC_ALL
records=$1/.lease/sync
cd "$records" || exit 1
[ "$(cat owner 2>/dev/null)" = "$2" ] || { echo superseded; exit 0; }
lists=$records/in.$2
mkdir -- "$lists" && tar -x -f - -C "$lists" || exit 1
[ -e "$lists/complete" ] || { echo "the lists are cut off" >&2; exit 1; }
# From here until the seal the tree is neither the old nor the new one, and the manifest covers both.
printf '%s\n' "$2" >dirty.tmp && mv -f -- dirty.tmp dirty && mv -f -- "$lists/union" manifest || exit 1
cd "$1/work" || exit 1
# Keeps those of its arguments that are not below a symbolic link, and hands them over.
# shellcheck disable=SC2016
below='for path do
  shift
  keep=1
  above=$path
  while :; do
    case $above in */*) above=${above%/*} ;; *) break ;; esac
    [ ! -L "$above" ] || keep=
  done
  case /$path/ in */../* | */./* | *//*) keep= ;; esac
  [ -z "$keep" ] || set -- "$@" "./$path"
done
'
# A link that replaced a directory of ours is removed as itself before anything is looked at through it.
# shellcheck disable=SC2016
xargs -0 -n 500 sh -c "$below"'
for path do [ ! -L "$path" ] || rm -f -- "$path" || exit 255; done' lease <"$lists/owned" || exit 1
# shellcheck disable=SC2016
xargs -0 -n 500 sh -c "$below"'
for path do
  shift
  if [ -L "$path" ] || [ ! -d "$path" ]; then set -- "$@" "$path"; fi
done
[ $# -eq 0 ] || rm -f -- "$@" || exit 255' lease <"$lists/delete" || exit 1
# shellcheck disable=SC2016
xargs -0 -n 500 sh -c "$below"'
[ $# -eq 0 ] || rmdir -- "$@" 2>/dev/null
exit 0' lease <"$lists/emptied" || exit 1
echo cleared
# shellcheck disable=SC2016
xargs -0 sh -c 'for path do if [ -L "$path" ] || { [ -e "$path" ] && [ ! -d "$path" ]; }; then printf "%s\0" "$path"; fi; done' lease <"$lists/directories" || exit 1
# shellcheck disable=SC2016
xargs -0 sh -c 'for path do if [ -d "$path" ] && [ ! -L "$path" ]; then printf "%s\0" "$path"; fi; done' lease <"$lists/new" || exit 1
