# Says what is known about a job, one `name=value` a line. $1 records, $2 run id.
lease_job=$1/jobs/$2
[ -d "$lease_job/start" ] || { echo none=; exit 0; }
echo started=
for lease_name in nonce why; do
  if read -r lease_value 2>/dev/null <"$lease_job/start/$lease_name"; then printf '%s=%s\n' "$lease_name" "$lease_value"; fi
done
# Alive is asked before the status is read: the status is written while the shell is alive.
lease_pid=
read -r lease_pid 2>/dev/null <"$lease_job/pid" || :
if [ -n "$lease_pid" ]; then
  printf 'pid=%s\n' "$lease_pid"
  kill -0 "$lease_pid" 2>/dev/null && echo alive=
fi
if read -r lease_value 2>/dev/null <"$lease_job/exit"; then printf 'exit=%s\n' "$lease_value"; fi
exit 0
