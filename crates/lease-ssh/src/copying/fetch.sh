# Sends files as one tar stream. $1 directory, $2 "glob" where what follows are patterns; then names that are relative to
# the directory. Before the stream comes a line for each name that nothing has, and the line "begin".
LC_ALL=C; export LC_ALL
lease_glob=$2
cd "$1" 2>/dev/null || { printf 'missing 0\nnothing\n'; exit 0; }
shift 2
[ -n "$lease_glob" ] || set -f
lease_at=0
IFS=
for lease_name do
  shift
  lease_at=$((lease_at + 1)) lease_found=
  # shellcheck disable=SC2086
  for lease_it in ./$lease_name; do
    [ -e "$lease_it" ] || [ -L "$lease_it" ] || continue
    set -- "$@" "$lease_it"
    lease_found=yes
  done
  [ -n "$lease_found" ] || echo "missing $lease_at"
done
[ $# -gt 0 ] || { echo nothing; exit 0; }
command -v tar >/dev/null 2>&1 || { echo lacks-tar; exit 0; }
echo begin
exec tar -c -f - "$@"
