# shellcheck shell=sh
# Makes the directory of a job and submits it, once. Arguments: id, nonce, public
# key, settings, deadline, the job's script; then everything for sbatch.
id=$1 nonce=$2 key=$3 settings=$4 deadline=$5 script=$6
shift 6
directory=$SHARED/$id

put() { printf '%s\n' "$2" >"$directory/$1.part" && mv -f "$directory/$1.part" "$directory/$1"; }
prepare() {
    put authorized_key "$key" && put settings "$settings" && put deadline "$deadline" && put job.sh "$script" &&
        chmod 700 "$directory/job.sh" && put intent "$nonce"
}

if [ ! -d "$SHARED" ]; then part make mkdir "$SHARED"; fi
if mkdir "$directory" 2>/dev/null; then
    if prepare 2>"$directory/log"; then
        fact prepared yes
        # The answer is noted on the spot: without the note, the submission may still be on its way. What sbatch says
        # besides is kept for whoever looks later.
        # shellcheck disable=SC2016 # the inner shell expands it
        part sbatch sh -c 'sbatch "$@" >"$0.part" 2>"$0.said"
            code=$?
            cat "$0.said" >&2
            [ "$code" = 0 ] || exit "$code"
            mv -f "$0.part" "$0" && cat "$0"' "$directory/submitted" \
            "$@" "$directory/job.sh" "$directory" "$nonce"
    else
        part log cat "$directory/log"
    fi
elif [ -d "$directory" ]; then
    fact taken yes
else
    # Once more, for the words.
    part directory mkdir "$directory"
fi
echo 'lease1 end'
