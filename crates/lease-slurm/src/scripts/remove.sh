# shellcheck shell=sh
# Removes the directory of a job that is gone. Arguments: id.
id=$1
case $id in
    lse-*.*.*)
        part remove rm -rf "${SHARED:?}/$id"
        ;;
esac
echo 'lease1 end'
