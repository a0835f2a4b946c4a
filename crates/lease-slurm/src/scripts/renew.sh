# shellcheck shell=sh
# Moves the time at which a job ends by itself. Arguments: id, nonce, deadline.
id=$1 nonce=$2 deadline=$3
directory=$SHARED/$id
if [ "$(cat "$directory/intent" 2>/dev/null)" = "$nonce" ]; then
    fact wanted yes
    # shellcheck disable=SC2016 # the inner shell expands it
    part renew sh -c 'printf "%s\n" "$1" >"$2.part" && mv -f "$2.part" "$2"' sh "$deadline" "$directory/deadline"
fi
echo 'lease1 end'
