# Reads a job's status. It is written over blanks, which a shell that reads byte after byte may have read in part.
lease_status() {
  lease_code=
  read -r lease_code 2>/dev/null <"$lease_job/exit" || lease_code=
  case $lease_code in =?*) lease_code=${lease_code#=} ;; *) lease_code=222; return 1 ;; esac
}
# Sees whether a process still is the one that was noted. $1 number, $2 the time of its start or "".
lease_alive() {
  [ -n "$1" ] && kill -0 "$1" 2>/dev/null || return 1
  [ -n "$2" ] || return 0
  read -r _ _ _ _ _ _ _ _ _ _ _ _ _ \
    _ _ _ _ _ _ _ _ lease_s _ 2>/dev/null <"/proc/$1/stat"
  [ "$lease_s" = "$2" ]
}
