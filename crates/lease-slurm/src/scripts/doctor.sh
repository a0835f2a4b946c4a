# shellcheck shell=sh
# Looks at everything that a job would meet, and submits none. Arguments:
# everything for a test-only submission.
for program in sbatch squeue scancel scontrol sinfo timeout ssh; do
    fact "program_$program" "$(command -v "$program")"
done
fact now "$(date +%s)"
ping=$(part ping scontrol ping)
printf '%s\n' "$ping"
case $ping in
    # Where the controller hangs, every other question would hang as long.
    *'lease1 R 124'* | *'lease1 R 137'*) ;;
    *)
        part config scontrol show config
        part sinfo sinfo -h -o 'J|%R|%a|%l|%D|%c|%m|%G|%P'
        part test sbatch --test-only "$@" --wrap=true
        ;;
esac
shared_listing
yes_if writable test -w "$SHARED"
yes_if parent_writable test -w "$(dirname "$SHARED")"
fact mode "$(stat -c %a "$SHARED" 2>/dev/null)"
fact filesystem "$(df -P "$SHARED" 2>/dev/null | awk 'NR == 2 { print $1, $4 }')"
if [ "$(id -u)" = 0 ]; then
    part namespace unshare --pid --mount-proc --fork --kill-child true
else
    part namespace unshare --user --map-current-user --pid --mount-proc --fork --kill-child true
fi
fact user "$(id -un)"
fact host "$(uname -n)"
echo 'lease1 end'
