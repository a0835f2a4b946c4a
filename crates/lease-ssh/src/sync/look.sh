# Looks which files of ours a command has changed. $1 the sync records, $2 the mark of the run that is looked after or
# "", $3 `cnewer` or `newer`, $4 `held` by a caller that has the lock and wrote what is in `wrote`. Keeps the names in
# `drift`, one a line. After a command it runs beside the answer to the client. Any other look is the last one at what it
# found: it sets the moment that changes are told from. A look that failed in any part leaves mark and moment, so that
# nobody takes it for one that found nothing.
LC_ALL=C; export LC_ALL
lease_sync=$1 lease_caller=$4 lease_clock=fine
[ "$3" = cnewer ] || lease_clock=whole
cd "$1" || exit 1
# Written over what is there, so that nobody finds the mark empty meanwhile.
[ -z "$2" ] || printf 'look %s\n' "$$" 1<>"$2" || exit 1
[ -n "$4" ] || lease_lock || exit 1
lease_leave() {
  [ -n "$lease_caller" ] || lease_unlock
  exit "$1"
}
if [ -z "$4" ]; then
  # In a tree that is being changed nobody can tell who changed it.
  lease_held=
  [ ! -f generation ] || read -r lease_held lease_file <generation || :
  [ "$lease_held" != dirty ] || lease_leave 3
  if [ "$((lease_wanted % 32))" -eq 0 ]; then
    for lease_file in lock.*; do
      [ "${lease_file##*.}" -ge "$lease_wanted" ] || rm -f -- "$lease_file"
    done
  fi
fi
# Names that came and went since the lists were last in order. Each change is followed by a look, so no name did both.
# In each pipe, who fails says so on descriptor 3.
lease_merge() {
  [ -e "added.$1" ] || [ -e "gone.$1" ] || return 0
  : >>"added.$1" && : >>"gone.$1" || return 1
  lease_failed=$({
    { sort "$1" "gone.$1" "gone.$1" || echo sort >&3; } \
      | { uniq -u && cat "added.$1" || echo uniq >&3; } \
      | sort -u >"new.$1" || echo sort >&3
  } 3>&1)
  [ -z "$lease_failed" ] && mv -f -- "new.$1" "$1" && rm -f -- "added.$1" "gone.$1" list
}
lease_merge paths && lease_merge directories || lease_leave 1
[ -e stamp ] || lease_leave 1
if [ ! -e list ]; then
  lease_failed=$({
    { echo . && cat directories || echo cat >&3; } | tr '\n' '\0' >new.list || echo tr >&3
  } 3>&1)
  [ -z "$lease_failed" ] && mv -f -- new.list list || lease_leave 1
fi
# The new moment comes before the look, so that nothing falls between the two.
[ -n "$2" ] || { : >stamp.new && lease_tick "$1/stamp.new"; } || lease_leave 1
cd ../../work || lease_leave 1
# `find` fails for a directory that is gone, which `xargs` tells as 123.
# shellcheck disable=SC2016
lease_failed=$({
  {
    xargs -0 sh -c 'lease_stamp=$0 lease_how=$1; shift; exec find "$@" -maxdepth 1 "-$lease_how" "$lease_stamp" -print' \
      "$1/stamp" "$3" <"$1/list" 2>/dev/null
    case $? in 0 | 123) ;; *) echo find >&3 ;; esac
  } | sort -u >"$1/new.hot" || echo sort >&3
} 3>&1)
[ -z "$lease_failed" ] || lease_leave 1
# Nothing that is newer is the usual answer, and the cheap one.
if [ -s "$1/new.hot" ]; then
  lease_failed=$({ { sort "$1/new.hot" "$1/paths" || echo sort >&3; } | uniq -d >"$1/changed" || echo uniq >&3; } 3>&1)
  [ -z "$lease_failed" ] || lease_leave 1
  if [ -n "$4" ] && [ -s "$1/wrote" ]; then
    lease_failed=$({
      { sort "$1/changed" "$1/wrote" "$1/wrote" || echo sort >&3; } | uniq -u >"$1/new.changed" || echo uniq >&3
    } 3>&1)
    [ -z "$lease_failed" ] && mv -f -- "$1/new.changed" "$1/changed" || lease_leave 1
  fi
  # A directory that changed may have lost names, and one that is none any more has lost all.
  lease_hot=$({
    { echo . && cat "$1/directories" || echo cat >&3; } | { sort - "$1/new.hot" || echo sort >&3; } | uniq -d || echo uniq
  } 3>&1)
  if [ -n "$lease_hot" ]; then
    # shellcheck disable=SC2016
    lease_failed=$({
      { tr '\n' '\0' <"$1/directories" || echo tr >&3; } \
        | xargs -0 sh -c 'for it do if [ -L "$it" ] || [ ! -d "$it" ]; then printf "%s\n" "$it" || exit 255; fi; done' lease \
          >>"$1/changed" || echo xargs >&3
      { tr '\n' '\0' <"$1/paths" || echo tr >&3; } \
        | xargs -0 sh -c 'for it do [ -L "$it" ] || [ -e "$it" ] || printf "%s\n" "$it" || exit 255; done' lease \
          >>"$1/changed" || echo xargs >&3
    } 3>&1)
    [ -z "$lease_failed" ] || lease_leave 1
  fi
  if [ -s "$1/changed" ]; then
    : >>"$1/drift" && sort -u "$1/drift" "$1/changed" >"$1/new.drift" && mv -f -- "$1/new.drift" "$1/drift" \
      || lease_leave 1
  fi
fi
if [ -n "$2" ]; then
  rm -f -- "$2"
else
  mv -f -- "$1/stamp.new" "$1/stamp" || lease_leave 1
fi
lease_leave 0
