#!/bin/sh
# Uses the emulator through the vendor's own command line.
#
#     hetzner-cli.sh ORIGIN TOKEN
#
# Needs hcloud and ssh-keygen. Prints a line for each step and a last line "N passed, M failed"; exits non-zero if any
# failed. Leaves nothing behind in the emulated project.
set -u

if [ $# -ne 2 ]; then
    echo "usage: $0 ORIGIN TOKEN" >&2
    exit 2
fi
HCLOUD_ENDPOINT="${1%/}/v1"
HCLOUD_TOKEN=$2
# Otherwise the configuration of whoever runs this would be read.
HCLOUD_CONFIG=/dev/null
export HCLOUD_ENDPOINT HCLOUD_TOKEN HCLOUD_CONFIG

scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0

# step NAME STATUS TEXT COMMAND...: the command's status is STATUS (0 or 1), and what it prints contains TEXT.
step() {
    name=$1 status=$2 text=$3
    shift 3
    said=$("$@" 2>&1 </dev/null)
    got=$?
    case $said in
    *"$text"*) contained=yes ;;
    *) contained=no ;;
    esac
    if [ "$got" -eq "$status" ] && [ "$contained" = yes ]; then
        passed=$((passed + 1))
        echo "ok: $name"
    else
        failed=$((failed + 1))
        echo "failed: $name: status $got and not $status, or no '$text' in: $said"
    fi
}

# empty NAME COMMAND...: the command succeeds and prints nothing.
empty() {
    name=$1
    shift
    said=$("$@" 2>&1 </dev/null)
    got=$?
    if [ "$got" -eq 0 ] && [ -z "$said" ]; then
        passed=$((passed + 1))
        echo "ok: $name"
    else
        failed=$((failed + 1))
        echo "failed: $name: status $got, and it printed: $said"
    fi
}

ssh-keygen -q -t ed25519 -N '' -C vendor -f "$scratch/one" </dev/null || exit 2
ssh-keygen -q -t ed25519 -N '' -C vendor -f "$scratch/two" </dev/null || exit 2

create() {
    hcloud server create --name "$1" --type cx23 --image debian-12 --location fsn1 \
        --ssh-key cli --label by=cli --label lease=one
}

names='-o noheader -o columns=name'
# shellcheck disable=SC2086 # the options are words
{
    empty 'no server is listed' hcloud server list $names
    empty 'no key is listed' hcloud ssh-key list $names
    step 'a server type is described' 0 cx23 hcloud server-type describe cx23
    step 'locations are listed' 0 fsn1 hcloud location list
    step 'images are listed' 0 debian-12 hcloud image list
    step 'a key is created' 0 created \
        hcloud ssh-key create --name cli --public-key-from-file "$scratch/one.pub" --label by=cli
    step 'a key of the same name is refused' 1 uniqueness_error \
        hcloud ssh-key create --name cli --public-key-from-file "$scratch/two.pub"
    step 'a key of the same material is refused' 1 uniqueness_error \
        hcloud ssh-key create --name other --public-key-from-file "$scratch/one.pub"
    step 'a server is created and waited for' 0 IPv4: create cli
    step 'a server of the same name is refused' 1 uniqueness_error create cli
    step 'a server is listed by its label' 0 cli hcloud server list --selector by=cli,lease $names
    empty 'another label lists nothing' hcloud server list --selector by=nobody $names
    step 'a server is described and runs' 0 running hcloud server describe cli
    step 'a label is added' 0 added hcloud server add-label cli more=yes
    step 'a label is removed' 0 removed hcloud server remove-label cli lease
    step 'the labels are those that are left' 0 'by=cli, more=yes' \
        hcloud server list -o noheader -o columns=labels
    step 'a server is switched off' 0 '' hcloud server poweroff cli
    step 'a server is switched on' 0 '' hcloud server poweron cli
    step 'its primary IPs are listed' 0 ipv6 hcloud primary-ip list
    step 'a server is deleted' 0 deleted hcloud server delete cli
    step 'a second deletion finds nothing' 1 'not found' hcloud server delete cli
    step 'a key is deleted' 0 deleted hcloud ssh-key delete cli
    empty 'no server is left' hcloud server list $names
    empty 'no key is left' hcloud ssh-key list $names
    empty 'no primary IP is left' hcloud primary-ip list $names
}
step 'a wrong token is refused' 1 unauthorized env HCLOUD_TOKEN=wrong hcloud server list

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
