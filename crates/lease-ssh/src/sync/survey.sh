# Says what the box holds, after a look at what commands left. $1 the lease's directory, $2 the generation that the client
# knows, $3 the program that looks, $4 nonce. Answers in lines; where the client knows another generation or none, the
# records of what syncs put there follow to the end.
umask 077
LC_ALL=C; export LC_ALL
lease_sync=$1/.lease/sync
mkdir -p -- "$1" "$1/.lease" "$lease_sync" || exit 1
if [ -L "$1/work" ]; then echo "work is a symbolic link" >&2; exit 1; fi
mkdir -p -- "$1/work" || exit 1
cd "$lease_sync" || exit 1
command -v tar >/dev/null 2>&1 || { echo lacks-tar; exit 0; }
command -v xargs >/dev/null 2>&1 || { echo lacks-xargs; exit 0; }
echo lease-survey-1
# Two clients may ask at once.
printf '%s' "$3" >"look.$$" && mv -f -- "look.$$" look || { rm -f -- "look.$$"; exit 1; }
# A file is removed before it is written anew, so that nothing is written through a link. busybox does so by itself.
case $(tar --version 2>/dev/null) in
*"GNU tar"*) echo "tar --unlink-first" ;;
*bsdtar*) echo "tar -U" ;;
*) echo "tar " ;;
esac
lease_how=''
: >probe
for lease_it in sort uniq tr cat find; do command -v "$lease_it" >/dev/null 2>&1 || lease_it=; [ -n "$lease_it" ] || break; done
if [ -n "$lease_it" ]; then
  if find . -maxdepth 0 -cnewer probe >/dev/null 2>&1; then
    lease_how=cnewer
    echo 'look cnewer fine'
  elif find . -maxdepth 0 -newer probe >/dev/null 2>&1; then
    lease_how=newer
    echo 'look newer whole'
  fi
fi
# Only what is asked for is believed: a program of that name may be anything.
case $(zstd --version 2>/dev/null) in *[Zz]std* | *[Zz]standard*) echo zstd ;; esac
lease_root=$1 lease_known=$2 lease_nonce=$4
lease_held='' lease_held_boot=''
[ ! -f generation ] || read -r lease_held lease_held_boot <generation || :
if [ -n "$lease_how" ] && [ "$lease_held_boot" = "$lease_boot" ] && [ "$lease_held" != dirty ]; then
  set --
  for lease_mark in open.*; do
    lease_what='' lease_pid=''
    read -r lease_what lease_pid 2>/dev/null <"$lease_mark" || [ -e "$lease_mark" ] || continue
    [ "$lease_pid" != - ] && lease_lives "$lease_pid" || set -- "$@" "$lease_mark"
  done
  /bin/sh look "$lease_sync" '' "$lease_how"
  lease_code=$?
  # Where nobody can look, nobody knows what is there. A tree that is being changed is looked at when that has ended.
  case $lease_code in 0 | 3) ;; *) : >generation ;; esac
  [ $# -eq 0 ] || [ "$lease_code" -eq 3 ] || rm -f -- "$@"
fi
lease_lock || { echo "the box's tree is locked" >&2; exit 1; }
trap lease_unlock EXIT
lease_held='' lease_held_boot=''
[ ! -f generation ] || read -r lease_held lease_held_boot <generation || :
# A first sync that was cut off has written no file before the list of all was whole.
if [ "$lease_held" = dirty ] && [ -e "in.$lease_held_boot/opened" ] && [ -e "in.$lease_held_boot/union" ]; then
  mv -f -- "in.$lease_held_boot/union" manifest || exit 1
fi
if lease_is_bare "$lease_root"; then
  echo bare
  # What a first sync by git needs. Old ones have no `-k`, and are not asked.
  case $(git --version 2>/dev/null) in
  "git version "*) if timeout -k 1 5 find . -maxdepth 0 >/dev/null 2>&1; then echo git; fi ;;
  esac
fi
# What is told is kept until whoever was told it has acted on it.
if [ -s drift ] || [ -s told ]; then
  {
    echo "$lease_nonce" && { [ ! -s told ] || { read -r lease_line; cat; } <told; } && { [ ! -s drift ] || cat drift; }
  } >new.told && mv -f -- new.told told && rm -f -- drift || exit 1
fi
printf 'state %s %s\n' "${lease_held:--}" "${lease_held_boot:--}"
if [ "$lease_held_boot" = "$lease_boot" ] && [ "$lease_held" != dirty ]; then echo whole; fi
if [ -s told ]; then
  { read -r lease_line; while IFS= read -r lease_line; do printf 'drift %s\n' "$lease_line"; done; } <told
fi
if [ "$lease_held" = "$lease_known" ] && [ "$lease_held_boot" = "$lease_boot" ]; then
  echo end
else
  echo records
  [ ! -e manifest ] || cat manifest
  [ ! -e log ] || cat log
fi
