# shellcheck shell=sh
# The partitions and what their nodes have.
part sinfo sinfo -h -o 'J|%R|%a|%l|%D|%c|%m|%G|%P'
echo 'lease1 end'
