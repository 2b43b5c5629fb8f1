#!/bin/bash
# Postfix, mimicryd, Postfix, maildir, set up by the samples in etc/postfix: the footer comes once, the rest stays.
. "$(dirname "$0")/common.bash"

need postfix postfix
begin
write_config "$footer" 'xforward_clients = ["127.0.0.0/8"]'
cat >>"$work/mimicry.toml" <<TOML
[[rule]]
name = "by client"
plugin = "disclaim"
match = { client = "127.0.0.77" }
options = { text = "From seventy-seven" }
TOML

# The port that mail comes in by; the samples have the rest.
{
    cat "$root/etc/postfix/after-queue.master.cf"
    echo "smtp inet n - n - - smtpd"
} >"$work/master.cf"
new_postfix "$root/etc/postfix/after-queue.main.cf" "$work/master.cf"
start_postfix
start_mimicryd

text_mail
(($(times "by mx.example.net (Postfix)" "$mail") == 2)) || fail "the text mail did not go through Postfix twice"
newsletter
signed_mail

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

send "$samples/demo-text.eml" anna@example.org tom@example.net --local-interface 127.0.0.77 || fail "the mail of another client was not taken"
delivered tom
(($(times "From seventy-seven" "$mail") == 1)) || fail "the rule on the client did not hold"
grep -q "client=127\.0\.0\.77 " "$work/mimicry.log" || fail "the log does not have the client"
(($(grep -c "client=127\.0\.0\.77 .*by client" "$work/mimicry.log") == 1)) || fail "the rule held for another client"
grep -q "orig_client=.*127\.0\.0\.77" "$work/postfix.log" || fail "Postfix was not told the client"
ok "XFORWARD: a rule on the client sees the real one, and the way back is told"

# Without mimicryd mail waits in the queue, and comes when it is back.
stop_mimicryd >/dev/null
send "$samples/demo-text.eml" anna@example.org tom@example.net || fail "Postfix takes no mail while mimicryd is away"
wait_for 15 grep -q "status=deferred.*refused" "$work/postfix.log"
"$mimicryd" run -c "$work/mimicry.toml"
postqueue -c "$postfix_dir" -f
delivered tom
(($(times "$footer" "$mail") == 1)) || fail "the mail that waited has the footer $(times "$footer" "$mail") times"
ok "mimicryd away: the mail waits and comes with its footer"
