# Waits for what a client wants to be run. It comes as lines on standard input: `read` takes byte after byte and never one
# too many, so what follows the last of our lines is the command's. $1 the name of this session, a random word that no
# argument has by chance. Sets what runs afterwards and its arguments; without the last line nothing runs.
lease_end="lease-spare $1 end" lease_break='
'
lease_mode='' lease_given='' lease_expected='' lease_text='' lease_part='' lease_count=0
# What a login shell says by itself comes before this line, and is nobody's answer.
printf 'lease-spare %s ready\n' "$1"
printf 'lease-spare %s ready\n' "$1" >&2
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
