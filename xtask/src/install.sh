#!/bin/sh
# Installs Debian packages without starting any of the services in them: `install.sh PACKAGE...`, as root.
# A policy that refuses starts is there for as long as it takes; what was there before is put back, also after a failure
# and by the next installation if this one is killed.
set -eu
policy=${POLICY:-/usr/sbin/policy-rc.d}
saved=$policy.before-xtask

restore() {
    if [ -e "$saved" ]; then
        mv -f "$saved" "$policy"
    elif [ -e "$policy.of-xtask" ]; then
        rm -f "$policy" "$policy.of-xtask"
    fi
}
# The mark says that there was no policy before, and stands before there is one.
restore
if [ -e "$policy" ]; then cp -p "$policy" "$saved"; else : >"$policy.of-xtask"; fi
trap restore EXIT
trap 'exit 1' HUP INT TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"
DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends "$@"
