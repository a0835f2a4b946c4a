# Takes files as one tar stream and puts them in their place once all of it is there. $1 nonce, $2 records, $3 the tree,
# $4 destination, $5 the name it gets in a destination that is a directory, or "" for what a directory contains, $6 "/"
# where the destination has to be a directory. The stream has "tree", or "part" with the pieces of one file.
LC_ALL=C; export LC_ALL
[ -d "$3" ] || mkdir -p -- "$3" || exit 1
command -v tar >/dev/null 2>&1 || { echo lacks-tar; exit 0; }
lease_to=$4 lease_above=$4
if [ -d "$4" ]; then
  [ -z "$5" ] || lease_to=${4%/}/$5
elif [ -n "$6" ]; then
  echo "there is no directory $4 on the box" >&2
  exit 1
else
  lease_above=${4%/*}/
fi
[ -d "$lease_above" ] || { echo "there is no directory ${lease_above%/} on the box" >&2; exit 1; }
# Whoever syncs next looks at what happened here; the shell keeps this number until it ends.
[ ! -d "$2/sync" ] || { printf 'run %s\n' "$$" >"$2/sync/open.copy-$$"; } || exit 1
# Beside its place, so that it can be moved there.
lease_draft=${lease_above%/}/.lease-copy.$1
trap 'rm -rf -- "$lease_draft"' EXIT
trap 'exit 1' HUP INT TERM PIPE
mkdir -m 700 -- "$lease_draft" || exit 1
tar -x -o -p -f - -C "$lease_draft" || {
  # 128 and SIGXFSZ: a limit on the size of files ended it without a word.
  [ $? -ne 153 ] || echo "File too large" >&2
  exit 1
}
# tar takes a stream that ends between two members for a whole one; the last member tells.
[ -e "$lease_draft/complete" ] || { echo "the stream was cut off" >&2; exit 1; }
if [ -d "$lease_draft/part" ]; then
  for lease_it in "$lease_draft"/part/*; do
    cat "$lease_it" >>"$lease_draft/tree" && rm -f -- "$lease_it" || exit 1
  done
fi
# Moves what follows into $2.
lease_bring() {
  lease_into=$2
  shift 2
  mv -f -- "$@" "$lease_into/"
}
# Moves what is in the directory $1 into the directory $2: what is no directory many at a time, and then the others.
lease_merge() {
  for lease_it in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    [ -L "$lease_it" ] || { [ -e "$lease_it" ] && [ ! -d "$lease_it" ]; } || continue
    if [ -L "$2/${lease_it##*/}" ]; then
      rm -f -- "$2/${lease_it##*/}" || return 1
    elif [ -d "$2/${lease_it##*/}" ]; then
      echo "$2/${lease_it##*/} is a directory, and a file is to be there" >&2
      return 1
    fi
    set -- "$@" "$lease_it"
    [ $# -lt 500 ] || { lease_bring "$@" && set -- "$1" "$2"; } || return 1
  done
  [ $# -eq 2 ] || lease_bring "$@" || return 1
  for lease_it in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    [ ! -d "$lease_it" ] || lease_move "$lease_it" "$2/${lease_it##*/}" || return 1
  done
}
# Moves $1 to $2, or what is in $1 into $2 where both are directories. No link is followed on the way.
lease_move() {
  if [ -L "$2" ]; then
    [ -L "$1" ] || [ ! -d "$1" ] || { echo "$2 is a link, and a directory is to be there" >&2; return 1; }
    rm -f -- "$2" || return 1
  elif [ -d "$2" ]; then
    if [ -d "$1" ] && [ ! -L "$1" ]; then
      lease_merge "$1" "$2"
      return
    fi
    echo "$2 is a directory, and a file is to be there" >&2
    return 1
  elif [ -e "$2" ] && [ -d "$1" ] && [ ! -L "$1" ]; then
    echo "$2 is no directory, and one is to be there" >&2
    return 1
  fi
  mv -f -- "$1" "$2"
}
lease_move "$lease_draft/tree" "$lease_to" || exit 1
echo placed
