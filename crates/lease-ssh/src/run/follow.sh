# Prints what a command printed from given offsets on, until it has ended or, with "now", as far as it got; then ends
# with the command's status, or with 222 when the record has more to say.
# $1 records, $2 run id, $3 and $4 bytes of standard output and standard error to leave out, $5 "take" to take the output
# from an older connection, $6 "now" or "", $7 nonce of the line behind which the output begins.
lease_job=$1/jobs/$2
# Descriptor 2 is for what the command wrote to it, never for what a shell or a program has to say here.
exec 4>&2 2>/dev/null
echo "lease-1 $7 started"
echo "lease-1 $7 started" >&4
read -r _ lease_pid lease_since <"$lease_job/start" || exit 222
[ -r "$lease_job/out" ] && [ -r "$lease_job/err" ] || exit 222
exec 7<"$lease_job/out" 8<"$lease_job/err"
# The place in a file is the kernel's, shared with `dd` and `cat`, so nothing is printed twice or left out.
for lease_x in "7 $3" "8 $4"; do
  [ "${lease_x#* }" = 0 ] || dd bs=1 count=0 skip="${lease_x#* }" <&"${lease_x%% *}"
done
# The asker is gone when our input ends; without this a quiet command would be followed by nobody for nobody.
exec 9<&0
( cat <&9; kill -s KILL "$$" ) >/dev/null 4>&- 7<&- 8<&- &
lease_watch=$!
exec 9<&- </dev/null
lease_pause=0.02 lease_read=
while :; do
  lease_done=$6
  if [ -e "$lease_job/end" ]; then lease_done=end; fi
  lease_alive "$lease_pid" "$lease_since" || lease_done=end
  if [ -n "$5" ]; then
    for lease_x in out err; do
      if read -r lease_r lease_t <"$lease_job/$lease_x.relay"; then
        if lease_alive "$lease_r" "$lease_t"; then kill -s USR2 "$lease_r"; fi
      elif read -r lease_r lease_t <"$lease_job/$lease_x.writer" && lease_alive "$lease_r" "$lease_t"; then
        # The writer prints into a pipe whose reader may hang. What somebody else reads there is in the log as well.
        case $lease_read in *" $lease_r "*) continue ;; esac
        lease_read="$lease_read $lease_r "
        true >"$lease_job/unrelayed"
        cat <"/proc/$lease_r/fd/1" >/dev/null 4>&- 7<&- 8<&- &
      fi
    done
  fi
  cat <&7 || exit 222
  cat <&8 >&4 || exit 222
  [ -z "$lease_done" ] || break
  sleep "$lease_pause" || sleep 1
  case $lease_pause in 0.02) lease_pause=0.05 ;; 0.05) lease_pause=0.1 ;; esac
done
kill "$lease_watch"
[ "$lease_done" = end ] || exit 222
for lease_x in out err; do
  [ ! -e "$lease_job/$lease_x.status" ] || exit 222
done
lease_status
exit "$lease_code"
