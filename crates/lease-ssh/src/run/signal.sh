# Sends a signal to a job's process group. $1 records, $2 run id, $3 signal name.
lease_job=$1/jobs/$2
lease_status && { echo ended; exit 0; }
read -r _ lease_pid lease_since 2>/dev/null <"$lease_job/start" || { echo none; exit 0; }
lease_alive "$lease_pid" "$lease_since" || { echo ended; exit 0; }
# sshd makes the shell the leader of a session and so of a group; a server that does not leaves us the shell alone.
kill -s "$3" -- "-$lease_pid" 2>/dev/null || kill -s "$3" "$lease_pid" 2>/dev/null || { echo ended; exit 0; }
# The shell that would have written the status down died with its group.
if [ "$3" = KILL ] && ! lease_status; then
  umask 077
  echo '=137' 1<>"$lease_job/exit"
fi
echo sent
