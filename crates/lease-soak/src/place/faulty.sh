#!/bin/sh
# A program that a provider runs, or what a planned fault makes of it. A file FAULTS/NUMBER.KIND is a plan; whoever
# renames it first meets the fault, once. REAL is the directory, or the program, that does the work.
name=${0##*/} fault=none
for plan in 'FAULTS'/*.*; do
    [ -e "$plan" ] || break
    if mv "$plan" 'FAULTS/met/' 2>/dev/null; then
        fault=${plan##*.}
        break
    fi
done
real='REAL'
[ -d "$real" ] && real=$(PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin command -v "$name")
# What makes something is never asked for twice by whoever is between: that would be another request.
case $fault in
    late) sleep 2 ;;
    never) exec sleep 15 ;;
    refused) echo 'it is turned away' >&2 && exit 1 ;;
    wrong) cat >/dev/null; echo '{]'; exit 0 ;;
    lost) "$real" "$@" >/dev/null; exit 1 ;;
    twice)
        case $name in
            sbatch) ;;
            adapter)
                input=$(cat)
                case $input in
                    *'"operation":"acquire"'*) ;;
                    *) printf '%s' "$input" | "$real" "$@" >/dev/null ;;
                esac
                printf '%s' "$input" | "$real" "$@"
                exit $?
                ;;
            *) "$real" "$@" </dev/null >/dev/null ;;
        esac
        ;;
esac
exec "$real" "$@"
