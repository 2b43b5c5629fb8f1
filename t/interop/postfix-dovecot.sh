#!/bin/bash
# Postfix, mimicryd, Dovecot's LMTP, a hundred maildirs: a mail to a hundred recipients goes in one delivery, all the way.
. "$(dirname "$0")/common.bash"

need postfix postfix
need_dovecot
begin
write_config "$footer"
sed -i "s|^next_hop = .*|next_hop = \"lmtp://$work/lmtp.sock\"|" "$work/mimicry.toml"

ids=$(id -u nobody):$(id -g nobody)
for n in $(seq 100); do echo "user$n@example.net:x:$ids::$work/mail/user$n::"; done >"$dovecot_dir/users"
new_dovecot /dev/null
start_dovecot

# Postfix' client hands on all that there is for example.net, as many recipients at a time as there are.
cat >"$work/main.cf" <<CF
virtual_mailbox_domains =
relay_domains = example.net
relay_recipient_maps =
relay_transport = mimicry:[127.0.0.1]:10025
mimicry_destination_recipient_limit = 100
CF
{
    sed -n '/^mimicry unix /,/^$/p' "$root/etc/postfix/after-queue.master.cf"
    echo "smtp inet n - n - - smtpd"
} >"$work/master.cf"
new_postfix "$work/main.cf" "$work/master.cf"
# Here Postfix listens on one port alone; $port_back is Dovecot's.
start_postfix
start_mimicryd

many=$(for n in $(seq 100); do printf 'user%s@example.net,' "$n"; done)
send "$samples/demo-text.eml" anna@example.org "${many%,}" || fail "Postfix did not take the mail: $(tail -n 5 "$work/swaks.log")"
empty() { [[ -z $(postqueue -c "$postfix_dir" -j) ]]; }
failed() { grep -q "status=deferred\|status=bounced" "$work/postfix.log"; }
done_or_failed() { empty || failed; }
wait_for 60 done_or_failed

! failed || fail "Postfix was refused $(grep -c "status=deferred\|status=bounced" "$work/postfix.log") recipients: $(grep -m 1 "status=deferred\|status=bounced" "$work/postfix.log")"

# As Postfix heard it.
queue_id=$(sed -n 's/.* \([0-9A-Za-z]*\): from=<anna@example.org>.* nrcpt=100 .*/\1/p' "$work/postfix.log")
[[ -n $queue_id ]] || fail "Postfix has no mail with a hundred recipients"
(($(grep -c "$queue_id: to=<user[0-9]*@example.net>.*status=sent " "$work/postfix.log") == 100)) || fail "not each of a hundred was sent"
grep -o "$queue_id: to=.* status=sent (.*)\$" "$work/postfix.log" | sed 's/.* status=sent (\(.*\))$/\1/' | sort -u >"$work/heard"
(($(wc -l <"$work/heard") == 1)) || fail "more than one reply was heard: $(cat "$work/heard")"
heard=$(cat "$work/heard")
ok "Postfix: all of a hundred at the first attempt, by one reply: $heard"

# As mimicryd logged it.
(($(grep -c '^.*class=' "$work/mimicry.log") == 1)) || fail "not one line of a mail in the log"
line=$(grep 'class=' "$work/mimicry.log")
[[ $line == *" class=1/1 status=sent reply=\"$heard\" "*" nrcpt=100 "* ]] || fail "the log says otherwise: $line"
! grep 'event=' "$work/mimicry.log" || fail "the log has a refusal"
ok "log: one mail, one class, a hundred recipients, the same reply"

# totals NAME: what status counts since the start.
"$mimicryd" status -c "$work/mimicry.toml" --json >"$work/status.json"
totals() { sed -n "/^  \"totals\"/,/^  }/s/^    \"$1\": \([0-9]*\),\{0,1\}\$/\1/p" "$work/status.json"; }
for count in mails:1 edited:1 sessions:1 deferred:0 refused:0 rcpt_refused:0 mail_refused:0 data_refused:0 client_gone:0; do
    [[ $(totals "${count%:*}") == "${count#*:}" ]] || fail "status has ${count%:*} = $(totals "${count%:*}"), not ${count#*:}"
done
ok "status: one session with one mail, nothing refused or deferred"

# As Dovecot saw it.
(($(grep -c "saved mail to INBOX" "$work/dovecot.log") == 100)) || fail "Dovecot stored $(grep -c "saved mail to INBOX" "$work/dovecot.log")"
for n in $(seq 100); do
    delivered "user$n"
    (($(times "$footer" "$mail") == 1)) || fail "user$n has the footer $(times "$footer" "$mail") times"
done
[[ -z $(find "$work/spool/ledger" -type f 2>/dev/null) ]] || fail "the ledger has an entry"
ok "Dovecot: each of a hundred has the mail once"
