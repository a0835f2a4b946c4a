# Waits for what a client wants to be run, where that is not said yet. It comes as lines on standard input: `read` takes
# byte after byte and never one too many, so what follows the last of our lines is the command's. $1 the lease's directory,
# $2 the name of this session, a random word that no argument has by chance, $3 the run id or "". Sets what runs afterwards
# and its arguments; without the last line nothing runs.
if [ -z "$lease_mode" ]; then
  lease_end="lease-spare $2 end" lease_break='
'
  lease_expected='' lease_text='' lease_part='' lease_count=0
  # What a login shell says by itself comes before this line, and is nobody's answer.
  [ -z "$lease_tells" ] || { printf 'lease-spare %s ready\n' "$2"; printf 'lease-spare %s ready\n' "$2" >&2; }
  # Of what the wrapper needs, this can be done while there is time.
  [ -z "$3" ] || mkdir -p -- "$1/.lease/jobs/$3" 2>/dev/null
  while :; do
    IFS='' LC_ALL=C read -r lease_line || exit 222
    [ "$lease_line" != "$lease_end" ] || break
    # In pieces, because a shell copies a text as a whole each time when it grows.
    lease_part=$lease_part$lease_line$lease_break
    lease_count=$((lease_count + 1))
    [ "$lease_count" -lt 64 ] || { lease_text=$lease_text$lease_part lease_part='' lease_count=0; }
  done
  eval "$lease_text$lease_part"
  lease_text='' lease_part='' lease_line=''
fi
