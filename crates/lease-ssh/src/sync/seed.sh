# Has git fetch a commit that anybody may read, and writes those files of it that the tree has to a box that has nothing.
# $1 root, $2 nonce, $3 URL, $4 its scheme, $5 the commit, $6 how many seconds the fetch may take, $7 the mask of the
# files' permissions, $8 and $9 what those are then, ${10} the program that undoes the compression or ""; a tar with the
# lists on standard input. Answers `unseeded` where nothing was changed, `half` where everything has to be sent all the
# same, or `seeded`.
lease_mask=$(umask)
umask 077
LC_ALL=C; export LC_ALL
lease_root=$1 lease_scheme=$4 lease_sync=$1/.lease/sync lease_held=
lists=$lease_sync/in.$2 store=$lease_sync/in.$2.git
cd "$lease_sync" && mkdir -- "$store" || exit 1
trap 'rm -rf -- "$store"; [ -z "$lease_held" ] || lease_unlock' EXIT
trap 'exit 1' HUP PIPE TERM
unseeded() { echo unseeded; exit 0; }
half() { echo half; exit 0; }
# Nothing that a person or a system has set for git, and nothing that could ask or answer for a password.
alone() {
  env -i PATH="$PATH" HOME="$store" LC_ALL=C https_proxy="${https_proxy-}" no_proxy="${no_proxy-}" GIT_DIR="$store" \
    GIT_WORK_TREE="$lease_root/work" GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_ATTR_NOSYSTEM=1 \
    GIT_TERMINAL_PROMPT=0 GIT_ASKPASS=false SSH_ASKPASS=false GIT_SSH_COMMAND=false \
    GIT_ALLOW_PROTOCOL="$lease_scheme" "$@" </dev/null
}
alone git init -q --template= >/dev/null && mkdir -p -- "$store/info" || unseeded
# The files are to be the bytes that were committed, whatever the tree says about line ends and filters.
echo '* -text !eol !crlf -ident !filter !working-tree-encoding' >"$store/info/attributes" || unseeded
printf '[core]\nhooksPath=/dev/null\nfileMode=true\nautocrlf=false\n[credential]\nhelper=\n[gc]\nauto=0\n[maintenance]\nauto=false\n[http]\nfollowRedirects=false\nlowSpeedLimit=1000\nlowSpeedTime=%s\n' \
  "$6" >>"$store/config" || unseeded
alone timeout -k 2 "$6" git fetch -q --depth=1 --no-tags --no-recurse-submodules "$3" "$5" || unseeded
# Of a client that is gone nothing else will come.
echo fetched || exit 1
mkdir -- "$lists" || unseeded
if [ -n "${10}" ]; then "${10}" -dc | tar -x -f - -C "$lists"; else tar -x -f - -C "$lists"; fi
[ -e "$lists/complete" ] || unseeded
alone git read-tree "$5" || unseeded
# shellcheck disable=SC2016
alone sh -c 'exec git update-index -z --force-remove --stdin <"$0"' "$lists/without" || unseeded
tree=$(alone git write-tree) && alone git ls-tree -d -r -z --name-only "$tree" >"$lists/directories" || unseeded
lease_lock || { echo "the box's tree is locked" >&2; exit 1; }
lease_held=yes
lease_is_bare "$1" || { echo superseded; exit 0; }
for lease_file in in.*; do
  case $lease_file in "in.$2" | "in.$2.git") ;; *) rm -rf -- "$lease_file" ;; esac
done
# From here until the seal the records cover whatever may be written.
printf 'dirty %s\n' "$2" >generation && mv -f -- "$lists/union" manifest || half
cd "$1/work" || half
umask "$lease_mask"
# shellcheck disable=SC2016
xargs -0 sh -c '[ $# -eq 0 ] || exec mkdir -p -- "$@"' lease <"$lists/directories" || half
umask "$7"
# What was written is read once more, and compared by its content.
alone git checkout-index -q -a && alone git update-index --really-refresh >&2 || half
[ -z "$(find . -type f ! -perm "$8" ! -perm "$9")" ] || half
# Each list has the time of its files; the first one is that of most of them.
find . -type f -exec touch -c -r "$lists/at.0" {} + || half
for lease_file in "$lists"/at.*; do
  # shellcheck disable=SC2094
  [ ! -s "$lease_file" ] || xargs -0 touch -c -r "$lease_file" -- <"$lease_file" || half
done
echo seeded
