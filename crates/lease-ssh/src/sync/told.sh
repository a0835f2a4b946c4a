# A function for whoever is about to forget what was found. Expects $lease_sync, and in $lease_looked the survey that its
# client has read, or nothing. The first line of `told` names the survey that told the rest of it.
lease_told() {
  [ ! -s "$lease_sync/drift" ] || return 1
  lease_by=
  [ ! -f "$lease_sync/told" ] || read -r lease_by <"$lease_sync/told" || :
  [ -z "$lease_by" ] || [ "$lease_by" = "$lease_looked" ]
}
