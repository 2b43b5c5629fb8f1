#!/bin/bash
# etc/init.d/mimicryd under a plain shell, without and with the functions of the Linux Standard Base.
. "$(dirname "$0")/common.bash"

need_mimicryd

free_port port_in
script=$root/etc/init.d/mimicryd
mkdir "$work/run"
cat >"$work/defaults" <<SH
MIMICRYD='$mimicryd'
MIMICRY_CONFIG='$work/mimicry.toml'
MIMICRY_PID_FILE='$work/run/mimicryd.pid'
MIMICRY_STOP_TIMEOUT=20
SH
if [[ -r /lib/lsb/init-functions ]]; then
    lsb=/lib/lsb/init-functions
else
    # The script calls these two.
    lsb=$work/init-functions
    # shellcheck disable=SC2016
    printf '%s\n' 'log_daemon_msg() { echo "$1: $2"; }' 'log_end_msg() { echo "end $1"; return "$1"; }' >"$lsb"
fi

# expect CODE ACTION: runs the script; what it says is in $work/said.log.
expect() {
    local code=0
    env -i MIMICRY_DEFAULTS="$work/defaults" MIMICRY_LSB_FUNCTIONS="$functions" _SYSTEMCTL_SKIP_REDIRECT=1 \
        /bin/sh "$script" ${2:+"$2"} >"$work/said.log" 2>&1 </dev/null || code=$?
    ((code == $1)) || fail "$2 (functions: $functions) ended with $code, not $1: $(cat "$work/said.log")"
}

pid() { cat "$work/run/mimicryd.pid"; }
# A dead process may wait to be collected by its parent, which in a container can take for ever.
runs() { [[ $(ps -o stat= -p "$1") == [!Z]* ]]; }
stop_by_pid() { [[ ! -e $work/run/mimicryd.pid ]] || kill -TERM "$(pid)"; }
at_end+=(stop_by_pid)

configure() {
    cat >"$work/mimicry.toml" <<TOML
[daemon]
pid_file = "$work/run/mimicryd.pid"
control = "$work/run/control"
spool = "$work/spool"
state = "$work/state"
workers = { min = 2, max = 8, spare = 1 }
drain_timeout = "10s"

[log]
target = "file:$work/mimicry.log"

[[listen]]
name = "from-postfix"
address = "127.0.0.1:$port_in"

[relay]
next_hop = "maildir://$work/mail/tom"

[[rule]]
name = "footer"
plugin = "disclaim"
options = { text = "a footer" }
TOML
}

# Speaks SMTP on descriptor 9: says the line, and waits for the answer to it.
answer() {
    local line
    [[ -z ${2-} ]] || printf '%s\r\n' "$2" >&9
    read -r -t 10 line <&9 || fail "no answer to $2"
    [[ $line == "$1 "* ]] || fail "$2 was answered by $line"
}

mkdir "$work/mail"
(($(id -u) != 0)) || chown nobody "$work/mail"

for functions in "$work/none" "$lsb"; do
    configure
    expect 2 ""
    expect 2 dance
    expect 3 status
    expect 7 reload
    expect 7 upgrade
    expect 0 stop

    echo 'nonsense = [' >>"$work/mimicry.toml"
    expect 6 start
    [[ ! -e $work/run/mimicryd.pid ]] || fail "a bad file was started"
    expect 3 status

    configure
    expect 0 start
    listens "$port_in" || fail "start returned before workers accept"
    first=$(pid)
    expect 0 start
    [[ $(pid) == "$first" ]] || fail "a second start started another daemon"
    grep -q "runs already" "$work/said.log" || fail "a second start does not say that it runs already"
    expect 0 status
    grep -q "process $first" "$work/said.log" || fail "status does not name process $first"
    ok "start, start again, status"

    expect 0 reload
    expect 0 force-reload
    [[ $(pid) == "$first" ]] || fail "reload changed the master"
    workers=$(pgrep -P "$first" -f '^mimicryd: worker' | sort | tr '\n' ' ')
    sed -i 's/plugin = "disclaim"/plugin = "disclaimer"/' "$work/mimicry.toml"
    for action in reload force-reload restart try-restart; do
        expect 6 "$action"
        grep -q 'unknown plugin "disclaimer"' "$work/said.log" || fail "$action does not show the mistake"
        { [[ $(pid) == "$first" ]] && runs "$first"; } || fail "$action with a bad file stopped the daemon"
        [[ $(pgrep -P "$first" -f '^mimicryd: worker' | sort | tr '\n' ' ') == "$workers" ]] || fail "$action with a bad file changed workers"
        listens "$port_in" || fail "$action with a bad file closed the port"
    done
    expect 0 status
    ok "reload and restart with a bad file: it is named, and the old configuration stays"

    sed -i 's/plugin = "disclaim"/plugin = "disclaimer"/' "$work/mimicry.toml"
    expect 6 upgrade
    configure
    exec 9<>"/dev/tcp/127.0.0.1/$port_in"
    answer 220
    expect 0 upgrade
    [[ $(pid) != "$first" ]] || fail "upgrade left the old master in the pid file"
    first=$(pid)
    expect 0 status
    grep -q "process $first" "$work/said.log" || fail "status does not name the new master, process $first"
    answer 421
    exec 9>&-
    mv "$mimicryd" "$work/real"
    cat >"$mimicryd" <<SH
#!/bin/sh
case \$1 in run) exit 3 ;; esac
exec "$work/real" "\$@"
SH
    chmod 755 "$mimicryd"
    expect 1 upgrade
    grep -q "exited with status 3" "$work/said.log" || fail "a failed upgrade does not say why: $(cat "$work/said.log")"
    mv "$work/real" "$mimicryd"
    { [[ $(pid) == "$first" ]] && runs "$first"; } || fail "a failed upgrade changed the master"
    ok "upgrade: the pid file and status name the new master; one that fails leaves the old"

    # Another port shows which configuration it is.
    port_was=$port_in
    free_port port_in
    configure
    expect 0 reload
    wait_for 5 listens "$port_in"
    [[ $(pid) == "$first" ]] || fail "reload changed the master"
    ok "reload with a good file: the new configuration is in force"

    expect 0 restart
    [[ $(pid) != "$first" ]] || fail "restart kept the old daemon"
    listens "$port_in" || fail "restart returned before workers accept"
    listens "$port_was" && fail "restart left the old port open"

    # Whoever broke the file must still be able to stop.
    echo 'nonsense = [' >>"$work/mimicry.toml"
    last=$(pid)
    exec 9<>"/dev/tcp/127.0.0.1/$port_in"
    answer 220
    answer 250 "HELO client.example.org"
    answer 250 "MAIL FROM:<anna@example.org>"
    answer 250 "RCPT TO:<tom@example.net>"
    answer 354 "DATA"
    {
        sleep 1
        answer 250 $'Subject: in hand\r\n\r\nwhen the daemon was told to stop\r\n.'
    } &
    client=$!
    expect 0 stop
    runs "$last" && fail "stop returned before the daemon ended"
    wait "$client" || fail "stop cut off the mail in hand"
    exec 9>&-
    listens "$port_in" && fail "stop left the port open"
    [[ ! -e $work/run/mimicryd.pid ]] || fail "stop left the pid file"
    expect 0 stop
    expect 3 status
    delivered tom
    ok "restart, stop with a bad file and a mail in hand, stop again"

    # The pid file of a daemon that was killed: the number may belong to somebody else.
    echo $$ >"$work/run/mimicryd.pid"
    expect 1 status
    expect 0 stop
    configure
    expect 0 start
    [[ $(pid) != "$$" ]] || fail "start believed a stale pid file"
    expect 0 stop
    ok "stale pid file: it is nobody's, and start replaces it"

    expect 0 try-restart
    [[ ! -e $work/run/mimicryd.pid ]] || fail "try-restart started what did not run"
done

# On Debian under systemd the functions hand the action over as they are read, and do not come back.
functions=$work/handing-over
echo 'echo "handed over"; exit 0' >"$functions"
configure
for action in start restart reload force-reload; do
    expect 0 "$action"
    grep -q "handed over" "$work/said.log" || fail "$action was not handed over"
done
expect 0 try-restart
! grep -q "handed over" "$work/said.log" || fail "try-restart of what does not run was handed over"
echo 'nonsense = [' >>"$work/mimicry.toml"
for action in start restart reload force-reload; do
    expect 6 "$action"
    ! grep -q "handed over" "$work/said.log" || fail "$action with a bad file was handed over"
    grep -q "nonsense" "$work/said.log" || fail "$action does not show the mistake"
done
ok "where the functions hand over to systemd, a bad file is found before"
