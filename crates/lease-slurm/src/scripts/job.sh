#!/bin/sh
# The box of a lease, as a batch job: `job.sh DIRECTORY NONCE`. DIRECTORY is the lease's own one on the shared file
# system; NONCE is what its file `intent` must say for the box to be wanted.
#
# The script runs in three stages, each a process: `start` binds its life to Slurm's step, `guard` decides whether the
# box may be and ends it, `body` is the server. It is written for any POSIX sh and needs nothing but common tools.
set -u
umask 077
LC_ALL=C
export LC_ALL

directory=$1 nonce=$2 stage=${3:-start}
script=$directory/job.sh

setting() { sed -n "s/^$1=//p" "$directory/settings" 2>/dev/null; }
put() { printf '%s\n' "$2" >"$directory/$1.part" && mv -f "$directory/$1.part" "$directory/$1"; }
fail() {
    put failed "$*"
    exit 1
}
# The file is opened each time, because that is when a network file system asks its server.
is_wanted() { [ "$(cat "$directory/intent" 2>/dev/null)" = "$nonce" ]; }

is_late() {
    deadline=$(cat "$directory/deadline" 2>/dev/null)
    case $deadline in
        '' | *[!0-9]*) return 1 ;;
        *) [ "$(date +%s)" -gt "$deadline" ] ;;
    esac
}

# Who dies with whom is decided by the kernel, where it offers that.
bound() {
    if setpriv --pdeathsig KILL true 2>/dev/null; then
        exec setpriv --pdeathsig KILL "$@"
    fi
    exec "$@"
}

namespace_flags() {
    if [ "$(id -u)" = 0 ]; then
        flags='--pid --mount-proc --fork --kill-child'
    else
        flags='--user --map-current-user --pid --mount-proc --fork --kill-child'
    fi
    # shellcheck disable=SC2086 # the flags are words
    unshare $flags true 2>/dev/null && printf '%s' "$flags"
}

# Process numbers of everything below the process $1, and of everything that carries the lease's mark; then `all`, without
# which the list was cut off.
belongings() {
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v root="$1" '
        { number = $1; sub(/^.*\) /, ""); split($0, field, " "); parent[number] = field[2]; state[number] = field[1] }
        END {
            for (number in parent) {
                if (state[number] == "Z") continue
                for (at = number; at > 1 && steps[number]++ < 64; at = parent[at]) if (parent[at] == root) { print number; break }
            }
        }'
    grep -lzx "LEASE_BOX=$nonce" /proc/[0-9]*/environ 2>/dev/null | sed 's|^/proc/||; s|/environ$||'
    echo all
}

end_all() {
    # Slurm signals everything that it sees, and what searches for us must not die of it.
    trap '' TERM INT HUP
    for round in 1 2 3 4 5 6 7 8 9 10; do
        found='' whole=''
        for number in $(belongings "$1" | sort -u); do
            # What looks on is a part of the picture.
            case $number in
                "$$" | "$1") continue ;;
                all)
                    whole=1
                    continue
                    ;;
            esac
            if kill -s KILL "$number" 2>/dev/null; then found=1; fi
        done
        [ -n "$found" ] || [ -z "$whole" ] || return 0
        [ "$round" = 1 ] || sleep 0.1
    done
}

start() {
    is_wanted || exit 0
    bound /bin/sh "$script" "$directory" "$nonce" guard
}

guard() {
    ending=''
    trap 'ending=1' TERM INT HUP
    is_wanted || exit 0
    # Whoever makes the directory is the one box of this lease; a late start, a second start and a second job are not.
    mkdir "$directory/claim" 2>/dev/null || exit 0
    printf '%s\n' "${SLURM_JOB_ID:-0} ${SLURM_RESTART_COUNT:-0} $(uname -n)" >"$directory/claim/by"

    root=$(setting root)
    mkdir -p "$root" "$directory/private" || fail "the directory $root cannot be made on $(uname -n)"
    contain=$(setting contain) flags=''
    if [ "$contain" != scan ]; then flags=$(namespace_flags); fi
    if [ -z "$flags" ] && [ "$contain" = namespace ]; then fail "$(uname -n) makes no PID namespace"; fi
    if [ -n "$flags" ]; then set -- unshare; else set --; fi
    for flag in $flags; do set -- "$@" "$flag"; done
    while IFS= read -r word; do
        [ -z "$word" ] || set -- "$@" "$word"
    done <<END
$(setting wrapper)
END
    (bound "$@" /bin/sh "$script" "$directory" "$nonce" body) &
    body=$!

    watch=$(setting watch_seconds)
    while [ -z "$ending" ] && kill -0 "$body" 2>/dev/null && is_wanted && ! is_late; do
        sleep "${watch:-5}" &
        nap=$!
        # The body may end first, and a signal interrupts the wait; both are looked at above.
        wait "$nap"
        kill "$nap" 2>/dev/null
    done
    rm -f "$directory/endpoint"
    if [ -z "$flags" ]; then end_all "$$"; fi
    kill -s KILL "$body" 2>/dev/null
    wait "$body" 2>/dev/null
    rm -rf "$root" "$directory/private"
    exit 0
}

environment_line() {
    printf 'SetEnv LEASE_BOX=%s' "$nonce"
    for name in SLURM_JOB_ID SLURM_JOB_NAME SLURM_JOB_NODELIST SLURM_JOB_PARTITION SLURM_JOB_ACCOUNT SLURM_JOB_GPUS \
        SLURM_CLUSTER_NAME SLURM_CONF SLURM_CPUS_ON_NODE SLURM_MEM_PER_NODE SLURM_MEM_PER_CPU SLURM_NNODES \
        SLURMD_NODENAME CUDA_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES GPU_DEVICE_ORDINAL ZE_AFFINITY_MASK TMPDIR; do
        eval "value=\${$name-}"
        # shellcheck disable=SC2154 # eval assigns it
        case $value in
            '' | *[!A-Za-z0-9_./:,=+@%-]*) ;;
            *) printf ' %s=%s' "$name" "$value" ;;
        esac
    done
    path=$(setting path)
    [ -z "$path" ] || printf ' PATH=%s' "$path"
    printf '\n'
}

server_config() {
    cat <<END
Port $1
${listen:+ListenAddress $listen}
HostKey $private/host_key
AuthorizedKeysFile $directory/authorized_key
PidFile $private/sshd.pid
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowUsers $user
UsePAM no
StrictModes no
AllowTcpForwarding local
AllowAgentForwarding no
X11Forwarding no
PermitTunnel no
PermitUserRC no
PrintMotd no
PrintLastLog no
UseDNS no
MaxSessions 100
LoginGraceTime 30
Subsystem sftp internal-sftp
END
    environment_line
}

find_sshd() {
    for path in "$(setting sshd)" /usr/sbin/sshd /usr/local/sbin/sshd /sbin/sshd /usr/bin/sshd; do
        if [ -n "$path" ] && [ -x "$path" ]; then
            printf '%s' "$path"
            return 0
        fi
    done
    return 1
}

# A number between the configured ones, drawn anew each time: whoever asks for a free port and takes it later is late.
draw_port() {
    low=$(setting port_low) high=$(setting port_high)
    random=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
    printf '%s' $((low + random % (high - low + 1)))
}

publish() {
    key=$(cut -d' ' -f1,2 "$private/host_key.pub") contained=scan
    # Only the first process of a namespace has this number.
    [ "$$" != 1 ] || contained=namespace
    put known_hosts "box $key"
    # The last line says that nothing is missing.
    put endpoint "lease-slurm 1
nonce $nonce
job ${SLURM_JOB_ID:-0}
node ${SLURMD_NODENAME:-$(uname -n)}
host $(uname -n)
port $1
user $user
root $root
ends_at $2
contained $contained
host_key $key
end"
}

body() {
    private=$directory/private root=$(setting root) listen=$(setting listen) user=$(id -un)
    sshd=$(find_sshd) || fail "there is no sshd on $(uname -n)"
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$private/host_key" </dev/null || fail "no host key could be made on $(uname -n)"
    ends_at=$(($(date +%s) + $(setting life_seconds)))
    tries=0
    while [ "$tries" -lt 30 ]; do
        tries=$((tries + 1))
        port=$(draw_port)
        rm -f "$private/sshd.pid"
        server_config "$port" >"$private/sshd_config"
        "$sshd" -D -e -f "$private/sshd_config" 2>"$private/sshd.log" </dev/null &
        server=$!
        waited=0
        # The file appears once the server listens.
        while kill -0 "$server" 2>/dev/null && [ "$waited" -lt 200 ]; do
            if [ -s "$private/sshd.pid" ]; then
                publish "$port" "$ends_at"
                wait "$server"
                fail "the sshd on $(uname -n) ended: $(tail -n 1 "$private/sshd.log")"
            fi
            sleep 0.05
            waited=$((waited + 1))
        done
        kill -s KILL "$server" 2>/dev/null
        grep -qE 'Address already in use|Cannot bind any address' "$private/sshd.log" && continue
        fail "sshd does not start on $(uname -n): $(tail -n 1 "$private/sshd.log")"
    done
    fail "no free port was found on $(uname -n)"
}

case $stage in
    start) start ;;
    guard) guard ;;
    body) body ;;
esac
