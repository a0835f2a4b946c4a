# Waits for what a client wants to be run, where that is not said yet. It comes as lines on standard input: `read` takes
# byte after byte and never one too many, so what follows the last of our lines is the command's. $1 the lease's directory
# or "", $2 the name of this session, a random word that no argument has by chance. A line that begins with the name is
# said to this loop: `make` has a directory made while there is time, `take` says how many bytes follow that may be read
# at once, `end` is the last. Sets what runs afterwards and its arguments; without the last line nothing runs.
if [ -z "$lease_mode" ]; then
  lease_name="lease-spare $2" lease_break='
'
  lease_expected='' lease_text='' lease_part='' lease_count=0 lease_exact=''
  # Whether `head` takes as much as it is asked for and leaves the rest.
  lease_try() {
    lease_exact=no
    if printf 'ab\n' | { head -c 1 && IFS='' read -r lease_line && [ "$lease_line" = b ]; }; then lease_exact=yes; fi
  }
  if [ -n "$lease_tells" ]; then
    lease_try >/dev/null 2>&1
    # What a login shell says by itself comes before this line, and is nobody's answer.
    printf '%s ready\n' "$lease_name"
    printf '%s ready\n' "$lease_name" >&2
  fi
  while :; do
    IFS='' LC_ALL=C read -r lease_line || exit 222
    case $lease_line in
      "$lease_name end") break ;;
      "$lease_name make "*)
        mkdir -- "${lease_line#"$lease_name make "}" 2>/dev/null
        continue
        ;;
      "$lease_name take "*)
        lease_count=${lease_line##* }
        [ -n "$lease_exact" ] || lease_try >/dev/null 2>&1
        # Whatever is not taken so is read as lines.
        [ "$lease_exact" = no ] || lease_part=$lease_part$(LC_ALL=C head -c "$lease_count" 2>/dev/null)
        lease_count=0
        continue
        ;;
    esac
    # In pieces, because a shell copies a text as a whole each time when it grows.
    lease_part=$lease_part$lease_line$lease_break
    lease_count=$((lease_count + 1))
    [ "$lease_count" -lt 64 ] || { lease_text=$lease_text$lease_part lease_part='' lease_count=0; }
  done
  eval "$lease_text$lease_part"
  lease_text='' lease_part='' lease_line=''
fi
