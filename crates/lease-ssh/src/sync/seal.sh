# Ends a sync. $1 root, $2 nonce, $3 the new generation, $4 how finely `find` reads times; a tar with the records on
# standard input.
umask 077
LC_ALL=C; export LC_ALL
lease_sync=$1/.lease/sync lease_clock=$4
cd "$lease_sync" || exit 1
lease_lock || { echo "the box's tree is locked" >&2; exit 1; }
trap lease_unlock EXIT
lease_held='' lease_held_by=''
read -r lease_held lease_held_by <generation || :
[ "$lease_held $lease_held_by" = "dirty $2" ] || { echo superseded; exit 0; }
tar -x -f - -C "in.$2" || exit 1
[ -e "in.$2/sealed" ] || { echo "the records are cut off" >&2; exit 1; }
mv -f -- "in.$2/manifest" "in.$2/paths" "in.$2/directories" . || exit 1
rm -rf -- log added.* gone.* list drift "in.$2" "complete.$2" "retract.$2"
: >stamp
printf '%s %s\n' "$3" "$lease_boot" >generation || exit 1
lease_tick
echo sealed
