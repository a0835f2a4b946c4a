# Marks the tree as being changed, removes what is gone, and looks for what is in the way. $1 root, $2 nonce, $3 and $4
# the state that the client saw, $5 how finely `find` reads times; a tar with the lists on standard input. Answers with
# NUL-ended paths that are in the way.
umask 077
LC_ALL=C; export LC_ALL
lease_sync=$1/.lease/sync lease_looked=$2 lease_clock=$5
cd "$lease_sync" || exit 1
lease_lock || { echo "the box's tree is locked" >&2; exit 1; }
lease_held='' lease_held_boot=''
[ ! -f generation ] || read -r lease_held lease_held_boot <generation || :
# Whatever was changed before this is the client's to know before it is overwritten.
if [ "$lease_held" != dirty ] && [ "$lease_held_boot" = "$lease_boot" ] && ! lease_is_quiet && [ ! -s drift ]; then
  echo "the look at the tree failed" >&2
  lease_unlock
  exit 1
fi
if [ "${lease_held:--} ${lease_held_boot:--}" != "$3 $4" ] || ! lease_told; then
  lease_unlock
  echo superseded
  exit 0
fi
# What a sync that died has left half done.
rm -rf -- in.* complete.* retract.*
lists=$lease_sync/in.$2
mkdir -- "$lists" && tar -x -f - -C "$lists" || { lease_unlock; exit 1; }
[ -e "$lists/complete" ] || { echo "the lists are cut off" >&2; lease_unlock; exit 1; }
# From here until the seal the tree is neither the old nor the new one, and the records cover both.
printf 'dirty %s\n' "$2" >generation && mv -f -- "$lists/union" manifest && rm -f -- log || { lease_unlock; exit 1; }
cd "$1/work" || { lease_unlock; exit 1; }
trap lease_unlock EXIT
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
