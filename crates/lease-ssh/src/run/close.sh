# Takes the reader of one of a command's streams away, as in a local pipeline. Says "closed", or "plain" where there is no
# log and so nobody but the channel reads. $1 records, $2 run id, $3 out or err.
lease_job=$1/jobs/$2
# The asker may be faster than the job, whose writer is not noted yet.
lease_turns=0
while [ "$lease_turns" -lt 100 ] && [ ! -e "$lease_job/end" ]; do
  if read -r lease_pid lease_since 2>/dev/null <"$lease_job/$3.writer"; then
    lease_alive "$lease_pid" "$lease_since" && kill -s KILL "$lease_pid"
    break
  fi
  if read -r _ lease_pid lease_since 2>/dev/null <"$lease_job/start" && [ -z "$lease_since" ]; then
    echo plain
    exit 0
  fi
  lease_turns=$((lease_turns + 1))
  sleep 0.05 2>/dev/null || sleep 1
done
echo closed
