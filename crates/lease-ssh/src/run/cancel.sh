# Takes the guard of a run, so that no attempt of it starts anything any more. $1 records, $2 run id, $3 a nonce.
lease_job=$1/jobs/$2
for lease_x in 1 2; do
  (
    umask 077
    mkdir -p -- "$lease_job" || exit
    [ ! -e "$lease_job/start" ] || exit 0
    set -C
    { printf '%s cancelled\n' "$3" >"$lease_job/start"; } 2>/dev/null
  )
  [ ! -e "$lease_job/start" ] || break
  rm -f -- "$1/reserve"
done
[ -e "$lease_job/start" ] || { echo 'no room for a record' >&2; exit 1; }
set -- "$1" "$2" ''
