#!/bin/bash
# Postfix, whose client keeps its connections, delivers under load through mimicryd while that reloads its configuration again
# and again: no mail is deferred, each arrives once, and each configuration is seen.
. "$(dirname "$0")/common.bash"

need postfix postfix
begin
mails=600
reloads=5
# configuration N: with as many workers as Postfix has deliveries at a time, as the samples say.
configuration() {
    write_config "Footer $1"
    sed -i 's/^workers = .*/workers = { min = 4, max = 32, spare = 2 }/' "$work/mimicry.toml"
}
configuration 0

new_postfix_with_kept_connections
start_postfix
start_mimicryd

seen() { grep -q -r -F -e "Footer $1" "$work/mail/tom/new"; }
generations() { grep -o ' generation=[0-9a-f]*' "$work/mimicry.log" | sort | uniq -c; }

# Each to another address: 1tom@example.net, 2tom@example.net ...
smtp-source -N -m "$mails" -s 10 -f anna@example.org -t tom@example.net "127.0.0.1:$port_smtp" >"$work/source.log" 2>&1 &
source=$!
for n in $(seq "$reloads"); do
    # Not before the last configuration had its part of the load.
    wait_for 60 has_arrived $((mails * n / (reloads + 3)))
    wait_for 10 seen $((n - 1))
    configuration "$n"
    "$mimicryd" reload -c "$work/mimicry.toml" >>"$work/reload.log" 2>&1 || fail "reload $n failed"
done
(($(arrived) < mails)) || fail "the load was over before the last reload"
wait "$source" || fail "Postfix did not take all mails"
empty() { [[ -z $(postqueue -c "$postfix_dir" -j) ]]; }
failed() { grep -q "status=deferred\|status=bounced" "$work/postfix.log"; }
done_or_failed() { empty || failed; }
wait_for 120 done_or_failed
! failed || fail "Postfix deferred $(grep -c status=deferred "$work/postfix.log") mails: $(grep -m 1 status=deferred "$work/postfix.log")"
wait_for 20 has_arrived "$mails"
ok "$reloads reloads under load: Postfix deferred none of $mails mails"

(($(arrived) == mails)) || fail "$(arrived) mails arrived instead of $mails"
grep -h -m 1 '^X-Original-To: ' -r "$work/mail/tom/new" | sort | uniq -d >"$work/twice"
[[ ! -s $work/twice ]] || fail "arrived twice: $(cat "$work/twice")"
ok "each arrived once"

for n in $(seq 0 "$reloads"); do
    seen "$n" || fail "no mail met configuration $n"
done
(($(generations | wc -l) == reloads + 1)) || fail "not $((reloads + 1)) generations in the log: $(generations)"
! grep -L -r "Footer [0-$reloads]" "$work/mail/tom/new" | grep . || fail "a mail without a footer"
ok "old and new configuration were seen: $(generations | tr -s ' \n' ' ')"

grep -q "relay=127.0.0.1\[127.0.0.1\]:$port_in.* conn_use=[2-9].*status=sent" "$work/postfix.log" || fail "Postfix used no connection twice"
(($(grep -c "event=session-ended" "$work/mimicry.log") > 0)) || fail "no session was ended by a reload"
ok "connections were kept, $(grep -c 'event=session-ended' "$work/mimicry.log") of them until a reload ended them"
