# Claims the sync and says what the last one left. $1 root, $2 nonce.
umask 077
LC_ALL=C; export LC_ALL
mkdir -p -- "$1" "$1/.lease" "$1/.lease/sync" || exit 1
if [ -L "$1/work" ]; then echo "work is a symbolic link" >&2; exit 1; fi
mkdir -p -- "$1/work" || exit 1
cd "$1/.lease/sync" || exit 1
command -v tar >/dev/null 2>&1 || { echo lacks-tar; exit 0; }
command -v xargs >/dev/null 2>&1 || { echo lacks-xargs; exit 0; }
# What a sync that died has left half done.
rm -rf -- in.* complete.* retract.*
printf '%s\n' "$2" >owner || exit 1
if [ -e dirty ]; then echo dirty; else echo clean; fi
[ ! -e manifest ] || cat manifest
