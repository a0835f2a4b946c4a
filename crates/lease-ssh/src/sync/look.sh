# Looks which files of ours a command has changed. $1 the sync records, $2 the mark of the run that is looked after or
# "", $3 `cnewer` or `newer`. Keeps their names in `drift`, one a line. Runs beside the answer to the client.
LC_ALL=C; export LC_ALL
lease_sync=$1 lease_own=$2
cd "$1" || exit 1
[ -z "$2" ] || printf 'look %s\n' "$$" >"$2"
lease_lock || exit 1
if [ "$((lease_wanted % 32))" -eq 0 ]; then
  for lease_file in lock.*; do
    [ "${lease_file##*.}" -ge "$lease_wanted" ] || rm -f -- "$lease_file"
  done
fi
# Names that came and went since the lists were last in order.
lease_merge() {
  if [ -e "added.$1" ] || [ -e "gone.$1" ]; then
    : >>"added.$1"
    : >>"gone.$1"
    { sort "$1" "gone.$1" "gone.$1" | uniq -u; cat "added.$1"; } | sort -u >"new.$1" \
      && mv -f -- "new.$1" "$1" && rm -f -- "added.$1" "gone.$1" list
  fi
}
lease_merge paths && lease_merge directories || { lease_unlock; exit 1; }
[ -e stamp ] || { lease_unlock; exit 1; }
[ -e list ] || { { echo .; cat directories; } | tr '\n' '\0' >new.list && mv -f -- new.list list; } || { lease_unlock; exit 1; }
cd ../../work || { lease_unlock; exit 1; }
# shellcheck disable=SC2016
xargs -0 sh -c 'lease_stamp=$0 lease_how=$1; shift; exec find "$@" -maxdepth 1 "-$lease_how" "$lease_stamp" -print' \
  "$1/stamp" "$3" <"$1/list" >"$1/hot" 2>/dev/null
: >"$1/changed"
# Nothing that is newer is the usual answer, and the cheap one.
if [ -s "$1/hot" ]; then
  sort -u "$1/hot" >"$1/new.hot"
  sort "$1/new.hot" "$1/paths" | uniq -d >"$1/changed"
  # A directory that changed may have lost names, and one that is none any more has lost all.
  # shellcheck disable=SC2016
  if [ -n "$({ echo .; cat "$1/directories"; } | sort - "$1/new.hot" | uniq -d)" ]; then
    tr '\n' '\0' <"$1/directories" \
      | xargs -0 sh -c 'for it do if [ -L "$it" ] || [ ! -d "$it" ]; then printf "%s\n" "$it"; fi; done' lease >>"$1/changed"
    tr '\n' '\0' <"$1/paths" \
      | xargs -0 sh -c 'for it do [ -L "$it" ] || [ -e "$it" ] || printf "%s\n" "$it"; done' lease >>"$1/changed"
  fi
fi
if [ -s "$1/changed" ]; then
  : >>"$1/drift"
  sort -u "$1/drift" "$1/changed" >"$1/new.drift" && mv -f -- "$1/new.drift" "$1/drift" || { lease_unlock; exit 1; }
fi
[ -z "$2" ] || rm -f -- "$2"
lease_unlock
