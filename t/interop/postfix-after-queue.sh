#!/bin/bash
# Postfix, mimicryd, Postfix, maildir, set up by the samples in etc/postfix: the footer comes once, the rest stays.
. "$(dirname "$0")/common.bash"

need postfix postfix
need swaks swaks
need_root
need_mimicryd

free_port port_smtp
free_port port_in
free_port port_back
footer="Sent by Example Ltd, no. 123456"
write_config "$footer"

# The port that mail comes in by; the samples have the rest.
{
    cat "$root/etc/postfix/after-queue.master.cf"
    echo "smtp inet n - n - - smtpd"
} >"$work/master.cf"
new_postfix "$root/etc/postfix/after-queue.main.cf" "$work/master.cf"
start_postfix
start_mimicryd

samples=$root/t/mail

send "$samples/demo-text.eml" anna@example.org tom@example.net || fail "the text mail was not taken"
delivered tom
(($(times "$footer" "$mail") == 1)) || fail "the text mail has the footer $(times "$footer" "$mail") times"
(($(times "by mx.example.net (Postfix)" "$mail") == 2)) || fail "the text mail did not go through Postfix twice"
ok "text mail: the footer is there once"

send "$samples/demo-newsletter.eml" news@mail.example.org tom@example.net || fail "the newsletter was not taken"
delivered tom
(($(times "$footer" "$mail") == 2)) || fail "the newsletter has the footer $(times "$footer" "$mail") times, not once in text and once in HTML"
(($(times "<p>$footer</p>" "$mail") == 1)) || fail "the newsletter's HTML has no footer of its own"
# The second delimiter begins the first attachment.
as_stored "$samples/demo-newsletter.eml" | from_line 2 --=_news_2024_05 >"$work/attachments"
from_line 2 --=_news_2024_05 <"$mail" >"$work/attachments.delivered"
(($(wc -c <"$work/attachments") > 4000)) || fail "the newsletter has no attachments to compare"
cmp "$work/attachments" "$work/attachments.delivered" || fail "the attachments were changed"
ok "newsletter: the footer is once in text and once in HTML, attachments are as they were"

send "$samples/demo-pgp-signed.eml" anna@example.org tom@example.net || fail "the signed mail was not taken"
delivered tom
as_stored "$samples/demo-pgp-signed.eml" >"$work/signed"
tail -c "$(wc -c <"$work/signed")" "$mail" | cmp "$work/signed" - || fail "the signed mail was changed"
ok "PGP-signed mail: every octet below the trace fields is as it was"

send "$samples/mixed-text-pdf.eml" anna@elsewhere.example tom@example.net || fail "the mail without a rule was not taken"
delivered tom
as_stored "$samples/mixed-text-pdf.eml" | grep -v -i '^return-path:' | sed '1,/^$/d' >"$work/plain"
sed '1,/^$/d' "$mail" | cmp "$work/plain" - || fail "a mail that no rule is for was changed"
(($(times "$footer" "$mail") == 0)) || fail "a mail that no rule is for has the footer"
ok "no rule holds: the body is as it was"

send "$samples/demo-text.eml" anna@example.org tom@example.net,eva@example.net || fail "the mail to two was not taken"
delivered tom
(($(times "$footer" "$mail") == 1)) || fail "the first of two recipients has the footer $(times "$footer" "$mail") times"
delivered eva
(($(times "$footer" "$mail") == 1)) || fail "the second of two recipients has the footer $(times "$footer" "$mail") times"
ok "two recipients: each has one mail with one footer"

# Without mimicryd mail waits in the queue, and comes when it is back.
stop_mimicryd >/dev/null
send "$samples/demo-text.eml" anna@example.org tom@example.net || fail "Postfix takes no mail while mimicryd is away"
wait_for 15 grep -q "status=deferred.*refused" "$work/postfix.log"
"$mimicryd" run -c "$work/mimicry.toml"
postqueue -c "$postfix_dir" -f
delivered tom
(($(times "$footer" "$mail") == 1)) || fail "the mail that waited has the footer $(times "$footer" "$mail") times"
ok "mimicryd away: the mail waits and comes with its footer"
