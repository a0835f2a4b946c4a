# Sends the content of one file. $1 directory, $2 its name there.
LC_ALL=C; export LC_ALL
cd "$1" 2>/dev/null && [ -e "./$2" ] || { printf 'missing 0\nnothing\n'; exit 0; }
[ -f "./$2" ] || { echo odd; exit 0; }
echo begin
exec cat "./$2"
