#!/usr/bin/env bash
# A real, throw-away Slurm cluster on one machine, for as long as standard input stays open.
#
#   cluster.sh DIR [OPTION=VALUE]...
#
# It prints `ready` once every node is idle. Then each line of standard input is one command, answered with `ok` or
# `failed`:  stop | kill | hang | wake | start  munged | slurmctld | n1 | n2
#            forget slurmctld  (it loses its state directory; stop it before)
# At the end of input, whoever closed it, everything is ended by its own process number and DIR is removed.
#
# All daemons listen on the loopback; all files are below DIR, which must be empty or missing. As root, jobs belong to
# an invented user who exists in one mount namespace only; as anybody else, the cluster is that user's own.
set -euo pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022

NODES=2 CPUS=4 MEM=2000 KILL_WAIT=10 MIN_JOB_AGE=300 MESSAGE_TIMEOUT=10 SLURMD_TIMEOUT=30 PROCTRACK=linuxproc
ACCOUNTING=0 EXTRA='' INSIDE=0 DIR=${1:?the directory of the cluster is missing}
shift
for setting in "$@"; do
    case $setting in
        NODES=* | CPUS=* | MEM=* | KILL_WAIT=* | MIN_JOB_AGE=* | MESSAGE_TIMEOUT=* | SLURMD_TIMEOUT=* | PROCTRACK=* | \
            ACCOUNTING=* | EXTRA=* | INSIDE=*) declare "${setting%%=*}=${setting#*=}" ;;
        *) echo "cluster.sh: what is $setting?" >&2; exit 2 ;;
    esac
done
[[ $DIR = /* && ${#DIR} -le 60 ]] || { echo 'cluster.sh: DIR must be absolute and short' >&2; exit 2; }
SELF=$(readlink -f "${BASH_SOURCE[0]}")

die() { echo "cluster.sh: $*" >&2; exit 1; }
as_root() { [ "$(id -u)" = 0 ]; }

# Nothing of the machine is changed: the invented user and the host name exist in these namespaces only.
if as_root && [ "$INSIDE" = 0 ]; then
    exec unshare --mount --uts --propagation private /bin/bash "$SELF" "$DIR" "$@" INSIDE=1
fi

CONF=$DIR/etc/slurm.conf
HOST=$(uname -n) JOB_USER=$(id -un) JOB_UID=$(id -u) JOB_GID=$(id -g)

alive() { [ -n "${1:-}" ] && [ -d "/proc/$1" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }
# A process number counts only while its command line names our directory.
pid_of() {
    local pid
    pid=$(cat "$DIR/run/$1.pid" 2>/dev/null) || return 0
    if alive "$pid" && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$DIR/"; then echo "$pid"; fi
}
await() { # tenths of a second, then a command; a try that hangs counts for as long as it lasted
    local end=$((SECONDS + 1 + $1 / 10))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}
runs() { [ -n "$(pid_of "$1")" ]; }
ended() { ! alive "$1"; }

start() {
    runs "$1" && return 0
    rm -f "$DIR/run/$1.pid"
    case $1 in
        munged)
            munged --key-file="$DIR/etc/munge.key" --socket="$DIR/run/munge.socket" --pid-file="$DIR/run/munged.pid" \
                --log-file="$DIR/log/munged.log" --seed-file="$DIR/etc/munge.seed" >>"$DIR/log/out" 2>&1 </dev/null ;;
        slurmdbd)
            SLURM_CONF=$CONF setsid bash -c "exec -a 'slurmdbd $DIR/etc/slurmdbd.conf' slurmdbd -D" \
                >>"$DIR/log/out" 2>&1 </dev/null & ;;
        mariadb) start_mariadb ;;
        slurmctld) SLURM_CONF=$CONF slurmctld -f "$CONF" -i >>"$DIR/log/out" 2>&1 </dev/null ;;
        n[0-9]*)
            mkdir -p "$DIR/spool/$1"
            SLURM_CONF=$CONF slurmd -f "$CONF" -N "$1" >>"$DIR/log/out" 2>&1 </dev/null ;;
        *) return 1 ;;
    esac || return 1
    await 150 runs "$1"
}
signal() { # signal, daemon
    local pid
    pid=$(pid_of "$2")
    [ -z "$pid" ] || kill -s "$1" "$pid" 2>/dev/null || true
    case $1 in
        TERM | KILL) [ -z "$pid" ] || await 100 ended "$pid" || { kill -s KILL "$pid" && await 50 ended "$pid"; } ;;
    esac
}

start_mariadb() {
    local owner=$JOB_USER socket=$DIR/sql/socket
    if as_root; then owner=mysql; fi
    if [ ! -d "$DIR/sql/data" ]; then
        mkdir -p "$DIR/sql/data"
        if as_root; then chown -R mysql "$DIR/sql"; fi
        mariadb-install-db --no-defaults --user="$owner" --datadir="$DIR/sql/data" --skip-test-db \
            --auth-root-authentication-method=normal >"$DIR/log/mariadb-install.log" 2>&1 </dev/null || return 1
    fi
    setsid mariadbd --no-defaults --user="$owner" --datadir="$DIR/sql/data" --socket="$socket" \
        --pid-file="$DIR/sql/pid" --bind-address=127.0.0.1 --port="$SQL_PORT" --innodb-buffer-pool-size=32M \
        --innodb-log-file-size=16M --skip-log-bin --innodb-flush-log-at-trx-commit=2 \
        >>"$DIR/log/mariadb.log" 2>&1 </dev/null &
    echo $! >"$DIR/run/mariadb.pid"
    await 300 mariadb-admin --no-defaults --socket="$socket" -u root ping >/dev/null 2>&1 || return 1
    mariadb --no-defaults --socket="$socket" -u root -e "CREATE DATABASE IF NOT EXISTS slurm_acct_db;
        CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY 'slurm';
        GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';" >>"$DIR/log/out" 2>&1 </dev/null
}
accounts() {
    local manager=(timeout 10 sacctmgr --quiet --immediate)
    export SLURM_CONF=$CONF
    await 100 "${manager[@]}" list cluster >/dev/null 2>>"$DIR/log/out" || return 1
    "${manager[@]}" add cluster lease >>"$DIR/log/out" 2>&1 </dev/null || true
    "${manager[@]}" add account research >>"$DIR/log/out" 2>&1 </dev/null || true
    "${manager[@]}" add user "$JOB_USER" account=research >>"$DIR/log/out" 2>&1 </dev/null
}

free_ports() { # how many
    local found=0 port seen=' '
    while [ "$found" -lt "$1" ]; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        case $seen in *" $port "*) continue ;; esac
        # Somebody who answers has it; nobody else is asked.
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then continue; fi
        seen="$seen$port "
        found=$((found + 1))
        echo "$port"
    done
}

invent_user() {
    JOB_USER=leasetest JOB_UID=$((52000 + $$ % 8000)) JOB_GID=$((52000 + $$ % 8000))
    { cat /etc/passwd; echo "$JOB_USER:x:$JOB_UID:$JOB_GID::$DIR/home:/bin/bash"; } >"$DIR/etc/passwd"
    { cat /etc/group; echo "$JOB_USER:x:$JOB_GID:"; } >"$DIR/etc/group"
    mount --bind "$DIR/etc/passwd" /etc/passwd
    mount --bind "$DIR/etc/group" /etc/group
    chown "$JOB_UID:$JOB_GID" "$DIR/home" "$DIR/shared"
    hostname localhost
    HOST=localhost
}

configure() {
    local ports bind='' daemon_user=root i
    as_root || daemon_user=$JOB_USER
    mapfile -t ports < <(free_ports $((NODES + 3)))
    SQL_PORT=${ports[1]}
    # Slurm binds to every interface, or to the address of its host name; only a local one may be chosen.
    case $(getent ahostsv4 "$HOST" | head -n 1) in 127.*) bind=NoCtldInAddrAny,NoInAddrAny ;; esac
    dd if=/dev/urandom of="$DIR/etc/munge.key" bs=128 count=1 status=none
    chmod 0400 "$DIR/etc/munge.key"
    # A launch that failed is tried again once its credential has expired, which takes two minutes elsewhere.
    {
        cat <<CONF
ClusterName=lease
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=$daemon_user
SlurmdUser=$daemon_user
AuthType=auth/munge
AuthInfo=socket=$DIR/run/munge.socket,cred_expire=30
CredType=cred/munge
${bind:+CommunicationParameters=$bind}
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool/%n
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmdPidFile=$DIR/run/%n.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/%n.log
MpiDefault=none
ProctrackType=proctrack/$PROCTRACK
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
PropagateResourceLimits=NONE
GresTypes=gpu
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
KillWait=$KILL_WAIT
MinJobAge=$MIN_JOB_AGE
MessageTimeout=$MESSAGE_TIMEOUT
SlurmdTimeout=$SLURMD_TIMEOUT
SlurmctldTimeout=30
SlurmdParameters=config_overrides
CONF
        if [ "$ACCOUNTING" = 1 ]; then
            echo "AccountingStorageType=accounting_storage/slurmdbd"
            echo "AccountingStorageHost=127.0.0.1"
            echo "AccountingStoragePort=${ports[2]}"
            echo "AccountingStoragePass=$DIR/run/munge.socket"
            echo "AccountingStorageEnforce=associations"
        else
            echo "AccountingStorageType=accounting_storage/none"
        fi
        for ((i = 1; i <= NODES; i++)); do
            echo "NodeName=n$i NodeHostname=$HOST NodeAddr=127.0.0.1 Port=${ports[i + 2]} CPUs=$CPUS CoresPerSocket=$CPUS RealMemory=$MEM Gres=gpu:2 State=UNKNOWN"
        done
        echo "PartitionName=normal Nodes=ALL Default=YES MaxTime=24:00:00 DefaultTime=01:00:00 State=UP"
        echo "PartitionName=short Nodes=ALL MaxTime=1 State=UP"
        echo "PartitionName=closed Nodes=ALL MaxTime=24:00:00 State=DOWN"
        printf '%b' "$EXTRA"
    } >"$CONF"
    printf 'Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n' >"$DIR/etc/gres.conf"
    if [ "$ACCOUNTING" = 1 ]; then
        cat >"$DIR/etc/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$DIR/run/munge.socket
DbdAddr=127.0.0.1
DbdHost=$HOST
DbdPort=${ports[2]}
${bind:+CommunicationParameters=NoInAddrAny}
SlurmUser=$daemon_user
LogFile=$DIR/log/slurmdbd.log
PidFile=$DIR/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$SQL_PORT
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
CONF
        chmod 600 "$DIR/etc/slurmdbd.conf"
    fi
    cat >"$DIR/facts" <<FACTS
user=$JOB_USER
uid=$JOB_UID
gid=$JOB_GID
keeper=$$
FACTS
}

daemons() {
    local i
    echo munged
    if [ "$ACCOUNTING" = 1 ]; then printf 'mariadb\nslurmdbd\n'; fi
    echo slurmctld
    for ((i = 1; i <= NODES; i++)); do echo "n$i"; done
}
no_jobs() { [ -z "$(SLURM_CONF=$CONF timeout 5 squeue -h -o %A 2>/dev/null)" ]; }
idle() { [ "$(SLURM_CONF=$CONF timeout 5 sinfo -h -N -p normal -t idle -o %N 2>/dev/null | wc -l)" = "$NODES" ]; }

# Steps outlive their node's daemon, and jobs may outlive their step.
leftovers() {
    local at pid
    for at in /proc/[0-9]*; do
        pid=${at#/proc/}
        if [ "$pid" = $$ ] || [ "$pid" = "$BASHPID" ]; then continue; fi
        if as_root && [ "$(stat -c %u "$at" 2>/dev/null)" = "$JOB_UID" ]; then echo "$pid"; continue; fi
        tr '\0' '\n' 2>/dev/null <"$at/environ" | grep -qxF "SLURM_CONF=$CONF" || continue
        if grep -q '^slurmstepd' "$at/cmdline" 2>/dev/null; then echo "$pid"; continue; fi
        tr '\0' '\n' 2>/dev/null <"$at/environ" | grep -q '^SLURM_JOB_ID=' && echo "$pid"
    done
    return 0
}

down() {
    local name pid
    trap - EXIT
    set +e
    if runs slurmctld && runs munged; then
        signal CONT slurmctld
        SLURM_CONF=$CONF timeout 10 squeue -h -o %A 2>/dev/null | SLURM_CONF=$CONF xargs -r timeout 10 scancel -Q 2>/dev/null
        await 50 no_jobs
    fi
    for name in $(daemons | tac); do
        signal CONT "$name"
        [ "$name" = mariadb ] || signal TERM "$name"
    done
    for pid in $(leftovers); do kill -s KILL "$pid" 2>/dev/null; done
    if [ "$ACCOUNTING" = 1 ]; then signal TERM mariadb; fi
    await 50 rm -rf "$DIR" 2>/dev/null
    rm -rf "$DIR"
}

[ ! -e "$DIR" ] || rmdir "$DIR" || die "$DIR is not empty"
mkdir -p "$DIR"/{etc,run,log,state,spool,home,shared}
chmod 755 "$DIR" "$DIR"/{etc,run,log}
chmod 700 "$DIR/state" "$DIR/shared"
trap down EXIT
trap 'exit 1' HUP INT TERM
if as_root; then invent_user; fi
configure
for daemon in $(daemons); do
    start "$daemon" || { tail -n 20 "$DIR"/log/* >&2; die "$daemon did not start"; }
    if [ "$daemon" = slurmdbd ]; then accounts || { tail -n 20 "$DIR"/log/* >&2; die 'no accounts'; }; fi
done
await 300 idle || {
    tail -n 20 "$DIR"/log/* >&2
    # Its own answer last: it tells nodes that are not ready from a program that does not answer.
    SLURM_CONF=$CONF timeout 5 sinfo -N >&2 || echo "cluster.sh: $(command -v sinfo) ended with $?" >&2
    die 'the nodes do not become idle'
}
echo ready
while read -r verb name; do
    case $verb in
        stop) signal TERM "$name" ;;
        kill) signal KILL "$name" ;;
        hang) signal STOP "$name" ;;
        wake) signal CONT "$name" ;;
        start) start "$name" ;;
        forget) ! runs "$name" && rm -rf "$DIR/state" && mkdir -m 700 "$DIR/state" ;;
        *) false ;;
    esac && echo ok || echo failed
done
