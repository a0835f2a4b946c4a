# Says what the box holds, after a look at what commands left. $1 the lease's directory, $2 the generation that the client
# knows, $3 the program that looks. Answers in lines; where the client knows another generation or none, the records of
# what syncs put there follow to the end.
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
printf '%s' "$3" >look.new && mv -f -- look.new look || exit 1
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
lease_held='' lease_held_boot=''
[ ! -f generation ] || read -r lease_held lease_held_boot <generation || :
if [ -n "$lease_how" ] && [ "$lease_held_boot" = "$lease_boot" ] && [ "$lease_held" != dirty ]; then
  set -- "$1" "$2" "$3"
  for lease_mark in open.*; do
    lease_what='' lease_pid=''
    read -r lease_what lease_pid 2>/dev/null <"$lease_mark" || continue
    [ "$lease_pid" != - ] && kill -0 "$lease_pid" 2>/dev/null || set -- "$@" "$lease_mark"
  done
  # Where nobody can look, nobody knows what is there.
  /bin/sh look "$lease_sync" '' "$lease_how" || : >generation
  lease_root=$1 lease_known=$2
  shift 3
  [ $# -eq 0 ] || rm -f -- "$@"
  set -- "$lease_root" "$lease_known"
fi
lease_lock || { echo "the box's tree is locked" >&2; exit 1; }
lease_held='' lease_held_boot=''
[ ! -f generation ] || read -r lease_held lease_held_boot <generation || :
printf 'state %s %s\n' "${lease_held:--}" "${lease_held_boot:--}"
if [ "$lease_held_boot" = "$lease_boot" ] && [ "$lease_held" != dirty ]; then echo whole; fi
if [ -s drift ]; then while IFS= read -r lease_line; do printf 'drift %s\n' "$lease_line"; done <drift; fi
if [ "$lease_held" = "$2" ] && [ "$lease_held_boot" = "$lease_boot" ]; then
  echo end
else
  echo records
  [ ! -e manifest ] || cat manifest
  [ ! -e log ] || cat log
fi
lease_unlock
