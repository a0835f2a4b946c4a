# shellcheck shell=sh
# Looks at all jobs of this user and at all directories.
shared_listing
queue
echo 'lease1 end'
