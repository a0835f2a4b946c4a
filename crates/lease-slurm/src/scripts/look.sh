# shellcheck shell=sh
# Looks at one job and its directory. Arguments: id, job name, `withdraw` or not.
id=$1 name=$2 mode=$3
directory=$SHARED/$id

if [ "$mode" = withdraw ] && [ -d "$directory" ]; then
    # From here on no start of this job becomes a box, and one that is a box ends by itself.
    part withdraw rm -f "$directory/intent"
fi
# The directory comes before the queue: what is noted there as submitted is in the queue by then.
shared_listing
if [ -d "$directory" ]; then
    part files ls -A1 "$directory"
    part submitted cat "$directory/submitted"
    part said tail -c 1000 "$directory/submitted.said"
    part failed cat "$directory/failed"
    part endpoint cat "$directory/endpoint"
    part changed stat -c %Y "$directory"
fi
queue --name="$name"
fact now "$(date +%s)"
echo 'lease1 end'
