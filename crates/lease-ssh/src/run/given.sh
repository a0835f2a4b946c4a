# Puts what does not belong into a command line where the wrapper reads it. $1 records, $3 run id, $4 nonce, as the
# wrapper gets them. Where it cannot be written, the wrapper says so.
if [ -n "$lease_given" ]; then
  (umask 077; mkdir -p -- "$1/jobs/$3" && printf '%s' "$lease_given" >"$1/jobs/$3/setup.$4") 2>/dev/null
  lease_given=''
fi
