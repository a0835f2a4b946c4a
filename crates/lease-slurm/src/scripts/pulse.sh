# shellcheck shell=sh
# Knocks at the sshd of a job without a key: which host answers, if any. Arguments:
# id, host, port, user.
id=$1 host=$2 port=$3 user=$4
part ssh ssh -F none -T -p "$port" -l "$user" -o BatchMode=yes -o ConnectTimeout=8 -o ConnectionAttempts=1 \
    -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$SHARED/$id/known_hosts" -o GlobalKnownHostsFile=none \
    -o HostKeyAlias=box -o CheckHostIP=no -o PreferredAuthentications=none -o IdentityFile=none \
    -o IdentitiesOnly=yes -o LogLevel=ERROR "$host" true
echo 'lease1 end'
