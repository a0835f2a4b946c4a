#!/bin/sh
# An adapter whose machines are directories; each login is an sshd of its own on the streams of a proxy command.
# pipe.sh STATE WORK_ROOT; it reads the little JSON that it needs with sed, because every value in it is a plain word.
set -eu
umask 077
state=$1 root=$2
request=$(cat)
text() { printf '%s' "$request" | sed -n "s/.*\"$1\":\"\\([^\"]*\\)\".*/\\1/p"; }
operation=$(text operation)
id=$(text leaseId)
mkdir -p "$state"
printf '%s\n' "$operation" >>"$state.log"
case $operation in
    doctor) answer='"message":"directories"' ;;
    acquire)
        mkdir -p "$state/$id"
        text publicKey >"$state/$id/keys"
        ssh-keygen -q -t ed25519 -N '' -f "$state/$id/host" </dev/null
        {
            echo "HostKey $state/$id/host"
            echo "AuthorizedKeysFile $state/$id/keys"
            echo "StrictModes no"
            echo "UsePAM no"
            # bash, as the first shell below an sshd, would read the files of whoever runs the tests.
            echo "SetEnv SHLVL=1"
            echo "PermitRootLogin prohibit-password"
        } >"$state/$id/config"
        [ "$(id -u)" != 0 ] || mkdir -p /run/sshd
        key=$(cut -d ' ' -f 1,2 "$state/$id/host.pub")
        name=$(text name) slug=$(text slug)
        printf '{"leaseId":"%s","slug":"%s","name":"%s","labels":{"work_root":"%s"},"ssh":{"host":"box","user":"%s","hostKey":"%s","proxyCommand":"/usr/sbin/sshd -i -f %s"}}' \
            "$id" "$slug" "$name" "$root" "$(id -un)" "$key" "$state/$id/config" >"$state/$id/lease.new"
        mv "$state/$id/lease.new" "$state/$id/lease"
        answer="\"lease\":$(cat "$state/$id/lease")"
        ;;
    resolve) answer="\"lease\":$(cat "$state/$id/lease")" ;;
    list)
        all=
        for lease in "$state"/*/lease; do
            [ ! -e "$lease" ] || all="$all${all:+,}$(cat "$lease")"
        done
        answer="\"leases\":[$all]"
        ;;
    release) rm -rf "${state:?}/${id:?}" && answer='"message":"gone"' ;;
    *) answer='"message":"nothing to do"' ;;
esac
printf '{"protocolVersion":1,%s}\n' "$answer"
