# shellcheck shell=sh
# Cancels jobs by number, and only those that still have this name and this user. Arguments: job name, job numbers.
name=$1
shift
part scancel scancel --me --name="$name" "$@"
echo 'lease1 end'
