# Takes what does not belong into a command line from standard input. $1 records, $2 run id, $3 nonce.
umask 077
mkdir -p -- "$1/jobs/$2" && cat >"$1/jobs/$2/setup.$3"
