# Brings a small change to the tree before the command starts. $1 the new generation, $2 how much of the clock a change
# is known by, $3 the extractor's option, then escaped lists: $4 records of what comes, $5 records of what goes, $6 what
# goes, $7 directories that may go, $8 paths that come to be watched and $9 no more, ${10} and ${11} directories
# likewise, ${12} the archive; then the number of directories that must be none but directories, those, the number of
# files, and those. What follows is the next part's.
lease_new=$1 lease_clock=$2 lease_option=$3 lease_come=$4 lease_go=$5 lease_remove=$6 lease_emptied=$7
lease_added=$8 lease_gone_paths=$9
shift 9
lease_added_directories=$1 lease_gone_directories=$2 lease_archive=$3 lease_count=$4
shift 4
lease_lock || lease_refuse busy
lease_give_up() { lease_unlock; lease_refuse "$1"; }
# Gives $1, unescaped, to a program; fails when the program does, and when it was not given all of it.
lease_feed() {
  lease_text=$1
  shift
  lease_fed=$({
    { LC_ALL=C; printf '%b' "$lease_text" && echo whole >&3; } | LC_ALL=C "$@" >/dev/null 2>&1 3>&- && echo fed >&3
  } 3>&1)
  case $lease_fed in whole*fed) ;; *) return 1 ;; esac
}
lease_current || lease_give_up stale
lease_is_quiet || { [ ! -s "$lease_sync/drift" ] || lease_give_up drift; lease_give_up failed; }
lease_told || lease_give_up drift
cd "$lease_root/work" || lease_give_up stale
# Nothing is written or removed through a link, and nothing of the box's own is in the way.
while [ "$lease_count" -gt 0 ]; do
  if [ -L "$1" ] || { [ -e "$1" ] && [ ! -d "$1" ]; }; then lease_give_up blocked; fi
  shift
  lease_count=$((lease_count - 1))
done
lease_count=$1
shift
while [ "$lease_count" -gt 0 ]; do
  if [ -d "$1" ] && [ ! -L "$1" ]; then lease_give_up blocked; fi
  [ -z "$lease_watch" ] || printf '%s\n' "$1" >>"$lease_sync/wrote" || lease_give_up failed
  shift
  lease_count=$((lease_count - 1))
done
printf 'dirty %s\n' "$lease_nonce" >"$lease_sync/generation" || lease_give_up failed
# What comes is ours from before the first byte, what goes until after the last.
printf '%b' "$lease_come" >>"$lease_sync/log" || lease_give_up failed
if [ -n "$lease_remove" ]; then
  lease_feed "$lease_remove" xargs -0 rm -f -- || lease_give_up failed
fi
if [ -n "$lease_emptied" ]; then
  printf '%b' "$lease_emptied" | xargs -0 rmdir -- 2>/dev/null
fi
if [ -n "$lease_archive" ]; then
  # shellcheck disable=SC2086
  lease_feed "$lease_archive" tar -x $lease_option -m -o -p -f - || lease_give_up failed
fi
{
  [ -z "$lease_go" ] || printf '%b' "$lease_go" >>"$lease_sync/log"
} && {
  [ -z "$lease_added" ] || printf '%b' "$lease_added" >>"$lease_sync/added.paths"
} && {
  [ -z "$lease_gone_paths" ] || printf '%b' "$lease_gone_paths" >>"$lease_sync/gone.paths"
} && {
  [ -z "$lease_added_directories" ] || printf '%b' "$lease_added_directories" >>"$lease_sync/added.directories"
} && {
  [ -z "$lease_gone_directories" ] || printf '%b' "$lease_gone_directories" >>"$lease_sync/gone.directories"
} && {
  [ ! -e "$lease_sync/told" ] || rm -f -- "$lease_sync/told"
} && lease_stamp \
  && printf '%s %s\n' "$lease_new" "$lease_boot" >"$lease_sync/generation" || lease_give_up failed
lease_unlock
