#!/bin/bash
# mimicryd as smtpd_proxy_filter, set up by the sample in etc/postfix: edits arrive, and refusals reach the client.
. "$(dirname "$0")/common.bash"

need postfix postfix
begin
write_config "$footer" 'profile = "before-queue"'

# The first smtpd leaves unknown recipients to the second, so that it is the second's refusal that is seen.
sed 's/^    -o smtpd_proxy_filter=127.*/&\n    -o smtpd_reject_unlisted_recipient=no/' "$root/etc/postfix/before-queue.master.cf" >"$work/master.cf"
new_postfix /dev/null "$work/master.cf"
start_postfix
start_mimicryd

text_mail
newsletter
signed_mail

send "$samples/demo-text.eml" anna@example.org nobody@example.net && fail "an unknown recipient was taken"
grep -q '^<\*\* 550 5\.1\.1 .*nobody@example\.net.*User unknown' "$work/swaks.log" || fail "the refusal is not the next hop's: $(grep '^<\*\*' "$work/swaks.log")"
ok "unknown recipient: refused to the client in the next hop's words"

send "$samples/demo-text.eml" anna@example.org nobody@example.net,eva@example.net || fail "the mail to two was not taken for the one who exists"
(($(grep -c '^<\*\* 550 5\.1\.1 ' "$work/swaks.log") == 1)) || fail "not one of two recipients was refused"
delivered eva
(($(times "$footer" "$mail") == 1)) || fail "the mail has the footer $(times "$footer" "$mail") times"
has_mail tom && fail "somebody got a mail that was not sent to him"
ok "one of two recipients unknown: it is refused alone, the other has the mail"

stop_mimicryd >/dev/null
send "$samples/demo-text.eml" anna@example.org tom@example.net && fail "mail was taken while mimicryd is away"
grep -q '^<\*\* 4' "$work/swaks.log" || fail "mimicryd away is no temporary failure: $(grep '^<\*\*' "$work/swaks.log")"
has_mail tom && fail "a mail that was not taken was delivered"
ok "mimicryd away: the client is told to come again"
