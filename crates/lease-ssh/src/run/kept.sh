# Runs the program that the box keeps. $1 the lease's directory, $2 nonce.
lease_kept=$1/.lease/sync/run.$lease_kind
[ -s "$lease_kept" ] || { printf 'lease-1 %s refused unkept\n' "$2" >&2; exit 222; }
# Of what the wrapper needs, this is done while the program is read and the tree is looked at.
if [ -n "$lease_run" ]; then mkdir -- "$1/.lease/jobs/$lease_run" 2>/dev/null & fi
. "$lease_kept"
