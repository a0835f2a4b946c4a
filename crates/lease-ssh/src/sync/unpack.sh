# Unpacks the tree and its records from standard input, and seals it. $1 root, $2 nonce. The rest is in the first line of
# the input, quoted for a shell, because it is not known yet when the session is opened: $3 the extractor's option, $4
# "-m" or "", $5 the new generation, $6 how finely `find` reads times, $7 "bare" where `clear.sh` has not run because
# nothing is there, $8 the program that undoes the compression or "". Where the line does not come, nothing is done.
IFS='' read -r lease_line || exit 222
eval "set -- \"\$1\" \"\$2\" $lease_line"
LC_ALL=C; export LC_ALL
lease_sync=$1/.lease/sync lease_looked=$2 lease_clock=$6 lease_watch=
cd "$1" || exit 1
lease_lock || { echo "the box's tree is locked" >&2; exit 1; }
trap lease_unlock EXIT
if [ -n "$7" ]; then
  lease_is_bare "$1" || { echo superseded; exit 0; }
  rm -rf -- "$lease_sync"/in.*
  mkdir -m 700 -- "$lease_sync/in.$2" && printf 'dirty %s\n' "$2" >"$lease_sync/generation" || exit 1
fi
lease_held='' lease_held_by=''
read -r lease_held lease_held_by <"$lease_sync/generation" || :
[ "$lease_held $lease_held_by" = "dirty $2" ] || { echo superseded; exit 0; }
# shellcheck disable=SC2086
if [ -n "$8" ]; then "$8" -dc | tar -x $3 $4 -o -p -f -; else tar -x $3 $4 -o -p -f -; fi || {
  # 128 and SIGXFSZ: a limit on the size of files ended it without a word.
  [ $? -ne 153 ] || echo "File too large" >&2
  exit 1
}
# tar takes a stream that ends between two members for a whole one; the last member tells.
[ -e "$lease_sync/in.$2/sealed" ] || { echo "the stream was cut off" >&2; exit 1; }
cd work || exit 1
# shellcheck disable=SC2016
xargs -0 sh -c 'for path do
  above=$path
  while :; do
    case $above in */*) above=${above%/*} ;; *) break ;; esac
    [ ! -L "$above" ] || continue 2
  done
  [ -d "$path" ] && [ ! -L "$path" ] || rm -f -- "./$path" || exit 255
done' lease <"$lease_sync/in.$2/retract" || exit 1
cd "$lease_sync" || exit 1
mv -f -- "in.$2/manifest" "in.$2/paths" "in.$2/directories" "in.$2/wrote" . || exit 1
# The program that runs commands came along.
for lease_file in "in.$2"/run.*; do
  [ ! -e "$lease_file" ] || mv -f -- "$lease_file" . || exit 1
done
rm -rf -- log added.* gone.* list "in.$2"
# What another client was told since stays for this one.
if lease_told; then rm -f -- told; fi
if [ -n "$lease_clock" ] && [ -e stamp ] && lease_busy; then lease_watch=yes; fi
lease_stamp || { echo "the look at the tree failed" >&2; exit 1; }
printf '%s %s\n' "$5" "$lease_boot" >generation || exit 1
echo sealed
