#!/bin/bash
# What t/interop/package.sh does inside a root: installs the package, uses it, upgrades it under load, and purges it.
#
# usage: package.bash systemd|init, in a root whose /package holds one.deb, two.deb and debian/tests

set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
cd /
init=$1
conf=/etc/mimicry/mimicry.toml

ok() { echo "ok: $init: $*"; }
fail() {
    echo "failed: $init: $*" >&2
    mimicryd status >&2 || :
    [[ $init != systemd ]] || journalctl -u mimicryd --no-pager -n 30 >&2 || :
    exit 1
}
expect() {
    local code=0
    "${@:2}" >/package/said 2>&1 || code=$?
    ((code == $1)) || fail "${*:2} ended with $code, not $1: $(cat /package/said)"
}
says() { grep -q -- "$1" /package/said || fail "\"$1\" is not said: $(cat /package/said)"; }
listens() { (exec 3<>/dev/tcp/127.0.0.1/10025) 2>/dev/null; }
wait_for() {
    local deadline=$((SECONDS + $1))
    until "${@:2}" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || fail "timed out: ${*:2}"
        sleep 0.05
    done
}
master() { cat /run/mimicry/mimicryd.pid; }
runs() { kill -0 "$1" 2>/dev/null; }
# What is on this machine, but what changes of itself, and the user, who stays.
files() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /package -o -path /var/log/journal \
        -o -path /var/lib/dpkg -o -path /var/cache -o -path /var/lib/systemd -o -path '/etc/*-' -o -path /var/log/dpkg.log \) -prune -o -print | sort
}

if [[ $init == init ]]; then
    # Nobody has booted this machine: runlevel 2, as init would write it down.
    perl -e 'print pack("s x2 l a32 a4 a32 x308", 1, 50 + 256 * 78, "~", "~~", "runlevel")' >/run/utmp
    [[ $(runlevel) == "N 2" ]] || fail "no runlevel: $(runlevel)"
fi
files >/package/before

# Somebody has the port.
perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:10025", Listen => 5, ReuseAddr => 1) or die; sleep 600' &
squatter=$!
wait_for 10 listens
expect 0 dpkg -i /package/one.deb
[[ $init == systemd ]] || says "mimicryd could not be started"
kill "$squatter"
wait "$squatter" 2>/dev/null || :
ok "the package is installed although its port is taken"

case $init in
    systemd)
        systemctl is-enabled -q mimicryd || fail "it is not enabled"
        systemctl reset-failed mimicryd || :
        systemctl restart mimicryd
        ;;
    init)
        compgen -G '/etc/rc2.d/S*mimicryd' >/dev/null || fail "it is not enabled"
        /etc/init.d/mimicryd start
        ;;
esac
listens || fail "it does not listen"
id mimicry >/dev/null || fail "there is no user"
[[ $(stat -c %U:%a /var/spool/mimicry /var/lib/mimicry /var/log/mimicry | tr '\n' ' ') == "mimicry:755 root:755 root:755 " ]] ||
    fail "directories: $(stat -c '%n %U %a' /var/*/mimicry)"
mimicryd status | grep -qx 'ledger /var/spool/mimicry/ledger' || fail "the ledger is not in force"
ok "it starts, and the ledger is in force"

for test in demo service; do
    /package/debian/tests/$test >/package/said 2>&1 || fail "debian/tests/$test: $(cat /package/said)"
done
ok "debian/tests"

# The script keeps its promise, also where it hands the action over to systemd.
pid=$(master)
cp "$conf" /package/sound.toml
echo 'nonsense = 1' >>"$conf"
for action in restart reload force-reload try-restart; do
    expect 6 /etc/init.d/mimicryd "$action"
    says 'nonsense'
    { [[ $(master) == "$pid" ]] && runs "$pid" && listens; } || fail "$action with a mistake changed something"
done
cp /package/sound.toml "$conf"
expect 0 /etc/init.d/mimicryd reload
[[ $(master) == "$pid" ]] || fail "reload changed the master"
ok "/etc/init.d/mimicryd with a mistake: it is shown, and nothing changes"

if [[ $init == systemd ]]; then
    # A directory that the unit does not grant.
    install -d -m 0700 -o mimicry /srv/archive
    printf '[[rule]]\nname = "a"\nplugin = "archive"\noptions = { dir = "/srv/archive", layout = "files" }\n' >>"$conf"
    expect 78 mimicryd check
    says 'ReadWritePaths=/srv/archive'
    says 'Read-only file system'
    says 'the daemon that runs would refuse it'
    expect 1 systemctl reload mimicryd
    expect 6 /etc/init.d/mimicryd restart
    says 'ReadWritePaths=/srv/archive'
    { [[ $(master) == "$pid" ]] && listens; } || fail "a directory out of reach changed something"
    mkdir -p /etc/systemd/system/mimicryd.service.d
    sed -n 's/^    \(\[Service\]\|ReadWritePaths=.*\)$/\1/p' /package/said >/etc/systemd/system/mimicryd.service.d/override.conf
    grep -qx 'ReadWritePaths=/srv/archive' /etc/systemd/system/mimicryd.service.d/override.conf || fail "no drop-in: $(cat /package/said)"
    systemctl daemon-reload
    # The grant counts after a restart, which is not refused for what the daemon lacks that runs.
    expect 0 mimicryd check
    says 'after a restart it has what its unit grants'
    expect 0 /etc/init.d/mimicryd restart
    [[ $(master) != "$pid" ]] || fail "it was not restarted"
    expect 0 mimicryd check
    ! grep -q ReadWritePaths /package/said || fail "what is granted is still missing: $(cat /package/said)"
    cp /package/sound.toml "$conf"
    rm -r /etc/systemd/system/mimicryd.service.d /srv/archive
    systemctl daemon-reload
    systemctl restart mimicryd
    ok "a directory that the unit does not grant: check shows the drop-in, reload and restart change nothing"

    sed -i '1i [log]\ntarget = "file:/var/log/mimicry/mimicry.log"\n' "$conf"
    systemctl restart mimicryd
    [[ -s /var/log/mimicry/mimicry.log ]] || fail "no log"
    mv /var/log/mimicry/mimicry.log /var/log/mimicry/mimicry.log.1
    sed -n '/postrotate/,/endscript/p' /etc/logrotate.d/mimicry | sed '1d;$d' >/package/rotate
    sh -e /package/rotate
    wait_for 10 test -e /var/log/mimicry/mimicry.log
    ok "a log in a file, and its rotation"

    # The journal, with what a client wrote in it, and a line that somebody else put there with our name.
    sed -i 's|^target = .*|target = "journal"|' "$conf"
    mimicryd reload >/dev/null
    exec 3<>/dev/tcp/127.0.0.1/10025
    printf 'HELO client.example.org\r\nMAIL FROM:<"id=forged class=1/1 MIMICRY_ID=x"@example.org>\r\nRCPT TO:<tom@example.net>\r\nQUIT\r\n' >&3
    cat <&3 >/package/session
    exec 3>&-
    grep -q '^451 4\.4\.1 ' /package/session || fail "the next hop is not away: $(cat /package/session)"
    refused() { id=$(journalctl -u mimicryd -o cat --no-pager | sed -n 's/^event=rcpt-refused id=\([^ ]*\) .*/\1/p' | tail -n 1) && [[ $id ]]; }
    wait_for 10 refused
    expect 0 mimicryd trace "$id"
    says "rcpt-refused <tom@example.net>: 451 4.4.1 "
    says 'from <"id=forged class=1/1 MIMICRY_ID=x"@example.org>'
    [[ $(journalctl -q "MIMICRY_ID=$id" MIMICRY_EVENT=rcpt-refused -o cat --no-pager | wc -l) == 1 ]] || fail "no fields in the journal"
    [[ -z $(journalctl -q MIMICRY_ID=x -o cat --no-pager) ]] || fail "a client wrote a field"
    setpriv --reuid=daemon --regid=daemon --clear-groups logger -t mimicryd 'id=forgedmail class=1/1 status=sent'
    forged() { journalctl -q -t mimicryd -o cat --no-pager | grep -q forgedmail; }
    wait_for 10 forged
    expect 65 mimicryd trace forgedmail
    ok "trace in the journal: our lines, and nobody else's"
fi

# Another user: the spool goes along.
useradd --system --user-group --no-create-home filter
sed -i '1i [daemon]\nuser = "filter"\n' "$conf"
expect 0 mimicryd check
says 'ledger not in force: .*belongs to mimicry, and workers run as filter; a restart takes it along'
/etc/init.d/mimicryd restart >/dev/null
mimicryd status | grep -qx 'ledger /var/spool/mimicry/ledger' || fail "the ledger is not in force for another user"
[[ $(stat -c %U /var/spool/mimicry /var/spool/mimicry/ledger | sort -u) == filter ]] || fail "the spool did not go along"
ok "a changed user takes the spool along"

# An upgrade while clients connect.
knock() {
    local line count=0
    while [[ ! -e /package/enough ]]; do
        exec 8<>/dev/tcp/127.0.0.1/10025 || return 1
        read -r -t 20 line <&8 || return 2
        [[ $line == 220* ]] || return 3
        exec 8>&-
        count=$((count + 1))
    done
    echo "$count" >/package/knocks
}
pid=$(master)
knock 2>/package/knock.log &
knocking=$!
cp "$conf" /package/edited.toml
dpkg -i --force-confdef --force-confold /package/two.deb >/package/said 2>&1 || fail "the upgrade: $(cat /package/said)"
[[ $(master) != "$pid" ]] || fail "the upgrade left the old master: $(cat /package/said)"
touch /package/enough
wait "$knocking" || fail "a connection was refused at the upgrade ($?): $(cat /package/knock.log)"
cmp "$conf" /package/edited.toml || fail "the upgrade changed the configuration"
if [[ $init == systemd ]]; then
    main() { [[ $(systemctl show -p MainPID --value mimicryd) == "$(master)" ]]; }
    wait_for 10 main
    systemctl is-active -q mimicryd || fail "systemd has lost it"
fi
ok "an upgrade: $(cat /package/knocks) connections were greeted, and an edited configuration stays"

# A configuration that the new program does not take.
pid=$(master)
echo 'nonsense = 1' >>"$conf"
dpkg -i --force-confdef --force-confold /package/one.deb >/package/said 2>&1 || fail "an upgrade with a mistake in the configuration"
says 'still runs'
{ [[ $(master) == "$pid" ]] && listens; } || fail "an upgrade with a mistake stopped the daemon"
cp /package/edited.toml "$conf"
ok "an upgrade with a mistake in the configuration: the old one goes on"

expect 0 dpkg --purge mimicry
gone() { ! runs "$pid" && ! listens; }
wait_for 80 gone
userdel filter
files >/package/after
diff /package/before /package/after >/package/left || fail "left behind: $(cat /package/left)"
[[ ! -e /run/mimicry ]] || fail "left behind: /run/mimicry"
ok "purged, and nothing is left"
