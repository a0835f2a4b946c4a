# Says what is known about a job, one `name=value` a line. $1 records, $2 run id, $3 "sizes" to count the logs.
lease_job=$1/jobs/$2
[ -e "$lease_job/start" ] || { echo none=; exit 0; }
echo started=
lease_nonce=
read -r lease_nonce lease_pid lease_since 2>/dev/null <"$lease_job/start" || :
[ -z "$lease_nonce" ] || printf 'nonce=%s\n' "$lease_nonce"
case $lease_pid in
  cancelled) printf 'why=it was cancelled\n'; lease_pid= ;;
  ?*) printf 'pid=%s\n' "$lease_pid" ;;
esac
if read -r lease_value 2>/dev/null <"$lease_job/why"; then printf 'why=%s\n' "$lease_value"; fi
# Alive is asked before the status is read: the status is written while the shell is alive.
if [ -n "$lease_nonce" ] && lease_alive "$lease_pid" "$lease_since"; then echo alive=; fi
if lease_status; then printf 'exit=%s\n' "$lease_code"; fi
[ ! -e "$lease_job/out" ] || echo logged=
[ ! -e "$lease_job/end" ] || echo end=
[ ! -e "$lease_job/unrelayed" ] || echo unrelayed=
[ ! -e "$lease_job/swept" ] || echo swept=
for lease_name in out err; do
  lease_file=$lease_job/$lease_name
  if [ -n "$3" ] || [ -e "$lease_file.status" ]; then
    printf '%s_logged=%s\n' "$lease_name" "$(($({ wc -c <"$lease_file" || echo 0; } 2>/dev/null)))"
  fi
  [ ! -e "$lease_file.failed" ] || printf '%s_failed=\n' "$lease_name"
  [ -e "$lease_file.status" ] || continue
  # What was not logged: the shell's number for the death at the limit, and what was counted beyond.
  read -r lease_value <"$lease_file.status" && printf '%s_status=%s\n' "$lease_name" "$lease_value"
  while read -r lease_value lease_word _; do
    case $lease_word in bytes) printf '%s_beyond=%s\n' "$lease_name" "$lease_value" ;; esac
  done 2>/dev/null <"$lease_file.beyond"
  [ ! -e "$lease_file.dropped" ] || {
    lease_sum=0
    while read -r lease_value; do lease_sum=$((lease_sum + lease_value)); done <"$lease_file.dropped"
    printf '%s_dropped=%s\n' "$lease_name" "$lease_sum"
  }
done
exit 0
