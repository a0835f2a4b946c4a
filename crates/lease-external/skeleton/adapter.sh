#!/bin/sh
# An adapter for lease: one JSON request on standard input, one JSON answer on standard output, one process each.
#
# What is specific to your machines is in backend_check, backend_make and backend_end; everything else is the protocol
# and may stay as it is. As it stands, a lease is a file in a directory, so that the adapter works before it is changed:
#
#     lease provider test -- ./adapter.sh
#
# It needs a POSIX shell, awk and the usual small tools.
set -eu
umask 077

# Says how things are; fails when no lease could be made.
backend_check() {
    [ -w "$directory" ] || fail "$directory cannot be written to" none
    printf 'leases are files in %s' "$directory"
}

# Makes a machine on which the key logs in: backend_make LEASE_ID NAME PUBLIC_KEY. The lease is recorded by then, so
# that whatever this makes is found again. What it prints goes to the person who waits.
backend_make() {
    : "$1" "$2" "$3"
}

# Ends the machine, and returns only when nothing of it is left; that there is none is fine: backend_end LEASE_ID.
backend_end() {
    : "$1"
}

# The way in, as the members of a JSON object.
backend_login() {
    printf '"host":"%s","port":"%s","user":"%s"' \
        "$(field config.host 127.0.0.1)" "$(field config.port 22)" "$(field config.user root)"
    key=$(field config.hostKey '')
    [ -z "$key" ] || printf ',"hostKey":"%s"' "$key"
}

# Turns JSON into lines of path, tab and value. Strings stay as they are written, so they can be printed again.
flatten() {
    awk '
        function skip() { while (substr(s, p, 1) ~ /[ \t\r\n]/) p++ }
        function text(    start, c) {
            start = ++p
            while ((c = substr(s, p, 1)) != "\"") {
                if (c == "") exit 2
                p += (c == "\\") ? 2 : 1
            }
            p++
            return substr(s, start, p - 1 - start)
        }
        function value(path,    c, name, start, count) {
            skip()
            c = substr(s, p, 1)
            if (c == "{" || c == "[") {
                p++
                skip()
                if (substr(s, p, 1) ~ /[]}]/) { p++; return }
                for (count = 0; ; count++) {
                    skip()
                    name = count
                    if (c == "{") { name = text(); skip(); p++ }
                    value(path == "" ? name : path "." name)
                    skip()
                    start = substr(s, p++, 1)
                    if (start ~ /[]}]/) return
                    if (start != ",") exit 2
                }
            }
            if (c == "\"") { print path "\t" text(); return }
            start = p
            while (substr(s, p, 1) ~ /[-+.0-9A-Za-z]/) p++
            if (p == start) exit 2
            print path "\t" substr(s, start, p - start)
        }
        { s = s $0 "\n" }
        END { p = 1; value(""); skip(); if (p <= length(s)) exit 2 }
    '
}

tab=$(printf '\t')

# The value of a path in the request, or the second argument: field PATH DEFAULT.
field() {
    found=$(printf '%s\n' "$request" | awk -F '\t' -v path="$1" '$1 == path { print "=" substr($0, length($1) + 2) }')
    if [ -n "$found" ]; then printf '%s' "${found#=}"; else printf '%s' "$2"; fi
}

# Ends with an error; with `none`, nothing was changed: fail MESSAGE [none].
fail() {
    printf '%s\n' "$1" >&2
    message=$(printf '%s' "$1" | tr -d '\\"' | tr -c '[:print:]' ' ')
    if [ "${2-}" = none ]; then effect=',"effect":"none"'; else effect=''; fi
    printf '{"protocolVersion":1,"error":"%s"%s}\n' "$message" "$effect"
    exit 1
}

# Refuses what could leave the directory.
check_lease_id() {
    case $1 in
        cbx_*[!0-9a-f]*) fail "this is no lease id" none ;;
        cbx_????????????) ;;
        *) fail "this is no lease id" none ;;
    esac
}

# The lines of a member of the request, without its path: members PATH.
members() {
    printf '%s\n' "$request" | awk -v path="$1." 'index($0, path) == 1 { print substr($0, length(path) + 1) }'
}

# Writes a lease down in one step: keep LEASE_ID SLUG NAME STATE, with lines of labels on standard input.
keep() {
    { printf '%s\n%s\n%s\n' "$2" "$3" "$4" && cat; } >"$directory/.new-$1"
    sync
    mv -f "$directory/.new-$1" "$directory/$1"
}

# Prints a lease as JSON: show LEASE_ID.
show() {
    { read -r slug && read -r name && read -r state; } <"$directory/$1"
    printf '{"leaseId":"%s","slug":"%s","name":"%s","cloudId":"%s","status":"%s"' \
        "$1" "$slug" "$name" "$name" "$state"
    printf ',"ssh":{%s},"labels":{' "$(backend_login)"
    sed 1,3d "$directory/$1" | awk -F '\t' '{ printf "%s\"%s\":\"%s\"", (NR > 1 ? "," : ""), $1, $2 }'
    printf '}}'
}

# The lease ids that there are.
lease_ids() {
    for path in "$directory"/cbx_*; do
        [ ! -f "$path" ] || printf '%s\n' "${path##*/}"
    done
}

doctor() {
    printf '{"protocolVersion":1,"message":"%s"}\n' "$(backend_check)"
}

acquire() {
    id=$(field desired.leaseId '')
    check_lease_id "$id"
    wanted="$(field desired.slug '')$tab$(field desired.name '')"
    if [ -f "$directory/$id" ]; then
        { read -r slug && read -r name; } <"$directory/$id"
        [ "$slug$tab$name" = "$wanted" ] || fail "$id has another slug or name" none
    else
        members labels | keep "$id" "${wanted%%"$tab"*}" "${wanted#*"$tab"}" provisioning
    fi
    backend_make "$id" "${wanted#*"$tab"}" "$(field publicKey '')" >&2
    sed 1,3d "$directory/$id" | keep "$id" "${wanted%%"$tab"*}" "${wanted#*"$tab"}" ready
    printf '{"protocolVersion":1,"lease":%s}\n' "$(show "$id")"
}

resolve() {
    wanted=$(field id '')
    desired=$(field desired.leaseId '')
    for id in $(lease_ids); do
        { read -r slug && read -r name; } <"$directory/$id"
        [ "$id" = "$(field expected.leaseId "$id")" ] || continue
        if [ -n "$desired" ]; then
            [ "$id" = "$desired" ] || continue
        else
            case $wanted in "$id" | "$slug" | "$name") ;; *) continue ;; esac
        fi
        printf '{"protocolVersion":1,"lease":%s}\n' "$(show "$id")"
        return
    done
    fail "there is no such lease" none
}

list() {
    printf '{"protocolVersion":1,"leases":['
    comma=''
    for id in $(lease_ids); do
        printf '%s%s' "$comma" "$(show "$id")"
        comma=','
    done
    printf ']}\n'
}

release() {
    id=$(field lease.leaseId '')
    check_lease_id "$id"
    backend_end "$id" >&2
    rm -f "$directory/$id"
    printf '{"protocolVersion":1}\n'
}

touch_lease() {
    id=$(field lease.leaseId '')
    check_lease_id "$id"
    [ -f "$directory/$id" ] || fail "there is no such lease" none
    { read -r slug && read -r name && read -r state; } <"$directory/$id"
    # What the lease itself says must not come from a label where lease ids are fixed.
    members lease.labels | awk -F '\t' '$1 !~ /^(lease|slug|name)$/' | keep "$id" "$slug" "$name" "$(field state "$state")"
    printf '{"protocolVersion":1,"lease":%s}\n' "$(show "$id")"
}

request=''
directory=''
request=$(flatten) || fail "the request is no JSON" none
directory=$(field config.directory "${LEASE_ADAPTER_DIRECTORY:-${HOME:-/var/tmp}/.lease-adapter}")
mkdir -p "$directory"
[ "$(field protocolVersion '')" = 1 ] || fail "version 1 of the protocol is spoken here" none

case $(field operation '') in
    doctor) doctor ;;
    acquire) acquire ;;
    resolve) resolve ;;
    list) list ;;
    release) release ;;
    touch) touch_lease ;;
    cleanup) printf '{"protocolVersion":1,"message":"there is nothing that nobody needs"}\n' ;;
    *) fail "there is no such operation" none ;;
esac
