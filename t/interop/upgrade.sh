#!/bin/bash
# Postfix delivers under load through mimicryd, and smtp-source and swaks connect all the time, while another mimicryd takes over
# again and again: no connection is refused, no mail is deferred, each arrives once, and each master has its part.
. "$(dirname "$0")/common.bash"

need postfix postfix
begin
mails=1000
upgrades=4
write_config "Footer"
sed -i 's/^workers = .*/workers = { min = 4, max = 40, spare = 2 }/' "$work/mimicry.toml"

new_postfix_with_kept_connections
for n in $(seq "$upgrades"); do cp "$mimicryd" "$work/mimicryd.$n"; done
start_postfix
start_mimicryd

master() { cat "$work/run/mimicryd.pid"; }
first=$(master)

# Whoever connects is greeted, at every moment.
knock() {
    local count=0 line
    while [[ ! -e $work/enough ]]; do
        exec 8<>"/dev/tcp/127.0.0.1/$port_in" || return 1
        read -r -t 20 line <&8 || return 2
        [[ $line == 220* ]] || return 3
        printf 'QUIT\r\n' >&8
        read -r -t 20 line <&8 || return 4
        [[ $line == 221* ]] || return 5
        exec 8>&-
        count=$((count + 1))
    done
    echo "$count" >"$work/knocks"
}
knock 2>"$work/knock.log" &
knocking=$!
# A mail by swaks straight to mimicryd, each in a session of its own.
swaks_load() {
    local count=0
    while [[ ! -e $work/enough ]]; do
        count=$((count + 1))
        swaks --server 127.0.0.1 --port "$port_in" --helo client.example.org --from anna@example.org \
            --to "${count}swaks@example.net" --header "Subject: swaks $count" --body "number $count" >"$work/swaks.log" 2>&1 || return 1
    done
    echo "$count" >"$work/swaks.count"
}
swaks_load &
swaks=$!
# Each to another address: 1tom@example.net, 2tom@example.net ...
smtp-source -N -m "$mails" -s 10 -f anna@example.org -t tom@example.net "127.0.0.1:$port_smtp" >"$work/source.log" 2>&1 &
source=$!

masters=("$first")
took=()
for n in $(seq "$upgrades"); do
    wait_for 60 has_arrived $((mails * n / (upgrades + 4)))
    # What an upgrade of the package does: another file under the same name.
    mv "$work/mimicryd.$n" "$mimicryd"
    begun=$(date +%s%N)
    "$mimicryd" upgrade -c "$work/mimicry.toml" >"$work/upgrade.log" 2>&1 || fail "upgrade $n failed: $(cat "$work/upgrade.log")"
    took+=("$((($(date +%s%N) - begun) / 1000000)) ms")
    [[ " ${masters[*]} " != *" $(master) "* ]] || fail "upgrade $n left the old master in the pid file"
    masters+=("$(master)")
    grep -q "process $(master), has taken over" "$work/upgrade.log" || fail "upgrade $n: $(cat "$work/upgrade.log")"
    [[ $(readlink "/proc/$(master)/exe") == "$mimicryd" ]] || fail "the new master is not the file that stands there now"
done
[[ -n $(postqueue -c "$postfix_dir" -j) ]] || fail "the load was over before the last upgrade"
wait "$source" || fail "Postfix did not take all mails"
touch "$work/enough"
wait "$knocking" || fail "a connection was refused or not greeted ($?): $(cat "$work/knock.log")"
wait "$swaks" || fail "swaks could not send a mail"
empty() { [[ -z $(postqueue -c "$postfix_dir" -j) ]]; }
failed() { grep -q "status=deferred\|status=bounced" "$work/postfix.log"; }
done_or_failed() { empty || failed; }
wait_for 120 done_or_failed
! failed || fail "Postfix deferred $(grep -c status=deferred "$work/postfix.log") mails: $(grep -m 1 status=deferred "$work/postfix.log")"
total=$((mails + $(cat "$work/swaks.count")))
wait_for 20 has_arrived "$total"
ok "$upgrades upgrades under load (${took[*]}): $(cat "$work/knocks") connections were greeted, and none of $total mails was deferred, $(cat "$work/swaks.count") of them by swaks"

(($(arrived) == total)) || fail "$(arrived) mails arrived instead of $total"
grep -h -m 1 '^X-Original-To: ' -r "$work/mail/tom/new" | sort | uniq -d >"$work/twice"
[[ ! -s $work/twice ]] || fail "arrived twice: $(cat "$work/twice")"
ok "each arrived once"

(($(grep -c "event=session-ended" "$work/mimicry.log") > 0)) || fail "no session was ended by an upgrade"
! grep "error: " "$work/mimicry.log" || fail "errors in the log"
left() { local pid; for pid in "${masters[@]::upgrades}"; do [[ $(ps -o stat= -p "$pid") != [!Z]* ]] || return 1; done; }
wait_for 60 left
"$mimicryd" status -c "$work/mimicry.toml" >"$work/status.log"
grep -q "^upgraded $upgrades times since$" "$work/status.log" || fail "status: $(head -n 3 "$work/status.log")"
grep -q "^mails $total " "$work/status.log" || fail "status has not counted $total mails: $(grep ^mails "$work/status.log")"
ok "$(grep -c "event=session-ended" "$work/mimicry.log") sessions were ended by 421; the old masters are gone, and status counts the mails of all"
