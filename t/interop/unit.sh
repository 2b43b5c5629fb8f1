#!/bin/bash
# etc/systemd/mimicryd.service: systemd finds no mistake in it and little that it leaves open, and the daemon does what it promises
# with no more than the unit grants. systemd does not run for this: the capabilities are taken away by setpriv, and the system calls
# are read off strace.
. "$(dirname "$0")/common.bash"

need_root
need systemd-analyze systemd
need strace strace
need setpriv util-linux
need swaks swaks
need_mimicryd

unit=$work/mimicryd.service
sed "s|/usr/sbin/mimicryd|$mimicryd|" "$root/etc/systemd/mimicryd.service" >"$unit"

systemd-analyze verify --man=no "$unit" >"$work/verify.log" 2>&1 || fail "systemd-analyze verify"
[[ ! -s $work/verify.log ]] || fail "systemd-analyze verify has something to say"
ok "systemd finds no mistake in the unit"

systemd-analyze security --offline=true --no-pager "$unit" >"$work/security.log" 2>&1 || fail "systemd-analyze security"
exposure=$(sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p' "$work/security.log")
awk -v it="${exposure:-10}" 'BEGIN { exit !(it <= 2.0) }' || fail "the exposure is $exposure, more than 2.0"
ok "exposure $exposure"

# calls GROUP: its system calls, and those of the groups in it.
calls() {
    local name
    systemd-analyze syscall-filter --no-pager "$1" | sed -n 's/^    \([-@a-z0-9_]*\)$/\1/p' | while read -r name; do
        case $name in
            @*) calls "$name" ;;
            *) echo "$name" ;;
        esac
    done
}

# What the unit's SystemCallFilter lines come to, in their order.
: >"$work/granted"
while read -r line; do
    for name in ${line#\~}; do
        case $name in
            @*) calls "$name" ;;
            *) echo "$name" ;;
        esac
    done | sort -u >"$work/named"
    case $line in
        \~*) sort -u "$work/granted" | comm -23 - "$work/named" >"$work/next" ;;
        *) sort -u "$work/granted" "$work/named" >"$work/next" ;;
    esac
    mv "$work/next" "$work/granted"
done < <(sed -n 's/^SystemCallFilter=//p' "$unit")
# These are always permitted.
calls @default | sort -u - "$work/granted" >"$work/next"
mv "$work/next" "$work/granted"
(($(wc -l <"$work/granted") > 100)) || fail "the unit grants hardly any system call"

worker=$(worker_user)
install -d -m 0755 "$work/run"
install -d -m 0755 -o "$worker" "$work/spool" "$work/mail"
for directory in mail/tom store archive; do install -d -m 0700 -o "$worker" "$work/$directory"; done
# An archive on a bind mount.
mount --bind "$work/store" "$work/archive" || fail "cannot mount a directory on another one"
unmount() { umount "$work/archive"; }
at_end+=(unmount)

free_port port_in
port_metrics=0
free_port port_metrics
port_back=0
write_config "A footer"
kernel=$(uname -r)
sed -i "s|^next_hop = .*|next_hop = \"maildir://$work/mail/tom\"|; s|^spool|sandbox = \"require\"\nmetrics = \"127.0.0.1:$port_metrics\"\nspool|" "$work/mimicry.toml"
cat >>"$work/mimicry.toml" <<TOML
[[rule]]
name = "archive"
plugin = "archive"
options = { dir = "$work/archive", layout = "files" }
TOML
if ! "$mimicryd" check -c "$work/mimicry.toml" >"$work/check.log" 2>&1; then
    grep -q 'this kernel does not guard' "$work/check.log" || fail "the configuration"
    echo "Linux $kernel cannot do all of the sandbox, which is tried then"
    sed -i 's|"require"|"try"|' "$work/mimicry.toml"
fi

# The capabilities of the unit and no others, in the form of setpriv.
kept=$(sed -n 's/^CapabilityBoundingSet=//p' "$unit" | tr 'A-Z ' 'a-z,' | sed 's/cap_/+/g')
[[ $kept ]] || fail "the unit names no capabilities"
strace -f -qq -o "$work/trace" setpriv --bounding-set "-all,$kept" --no-new-privs \
    "$mimicryd" run --foreground -c "$work/mimicry.toml" >"$work/daemon.log" 2>&1 </dev/null &
tracer=$!
at_end+=(stop_mimicryd)
wait_for 20 listens "$port_in"

post() {
    swaks --server 127.0.0.1 --port "$port_in" --from anna@example.org --to tom@example.net --header "Subject: $1" \
        --timeout 20 >"$work/swaks.log" 2>&1 </dev/null || fail "the mail $1 is not taken"
}

post one
(($(arrived) == 1)) || fail "the first mail did not arrive"
(($(find "$work/store" -path '*/.mimicry' -prune -o -type f -print | wc -l) == 1)) || fail "the archive on the bind mount"
worker_pid=$(pgrep -P "$(cat "$work/run/mimicryd.pid")" -f '^mimicryd: worker' | head -n 1)
[[ $worker_pid ]] || fail "no worker"
metrics_pid=$(pgrep -P "$(cat "$work/run/mimicryd.pid")" -f '^mimicryd: metrics')
[[ $metrics_pid ]] || fail "nobody shows metrics"
for line in 'CapEff:	0000000000000000' 'NoNewPrivs:	1' 'Seccomp:	2'; do
    grep -qx "$line" "/proc/$worker_pid/status" || fail "a worker has not $line"
done
ok "a worker has no capability and a filter of system calls"

# The master has no CAP_KILL: it tells its workers all the same.
! grep -q 'CAP_KILL' "$unit" || fail "the unit has CAP_KILL"
"$mimicryd" reload --wait -c "$work/mimicry.toml" >"$work/reload.log" 2>&1 || fail "reload"
gone_worker() { ! kill -0 "$worker_pid"; }
wait_for 20 gone_worker
# Nor does who shows metrics outlive a reload: it has the names of the configuration before.
showing() { pgrep -P "$(cat "$work/run/mimicryd.pid")" -f '^mimicryd: metrics'; }
one_shows() { (($(showing | wc -l) == 1)) && [[ $(showing) != "$metrics_pid" ]]; }
wait_for 20 one_shows
post two
mv "$work/mimicry.log" "$work/mimicry.log.1"
kill -USR1 "$(cat "$work/run/mimicryd.pid")"
reopened() { grep -q 'log reopened' "$work/mimicry.log"; }
wait_for 20 reopened
post three
(($(arrived) == 3)) || fail "not all mails arrived"
"$mimicryd" stop -c "$work/mimicry.toml" >"$work/stop.log" 2>&1 || fail "stop"
wait "$tracer" || fail "the daemon ended with an error"
! grep 'cannot send SIG' "$work"/mimicry.log* || fail "a worker could not be told"
ok "binds, serves, archives, reloads, opens its log anew and stops with the capabilities of the unit"

# What was called after mimicryd began, by name.
sed -n "/execve(\"${mimicryd//\//\\/}\"/,\$p" "$work/trace" | sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' | sort -u >"$work/called"
(($(wc -l <"$work/called") > 40)) || fail "strace saw hardly anything"
comm -23 "$work/called" "$work/granted" >"$work/beyond"
[[ ! -s $work/beyond ]] || fail "the unit does not grant: $(tr '\n' ' ' <"$work/beyond")"
ok "$(wc -l <"$work/called") system calls, all of which the unit grants"
