#!/bin/bash
# Exim, mimicryd, Exim, maildir, set up by the samples in etc/exim: the footer comes once, the rest stays.
. "$(dirname "$0")/common.bash"

begin
write_config "$footer"
new_exim
start_exim
start_mimicryd

text_mail
(($(times "by mx.example.net with esmtp (Exim" "$mail") == 2)) || fail "the text mail did not go through Exim twice"
newsletter
signed_mail

mail_to_two

send "$samples/demo-text.eml" anna@example.org none@example.net && fail "an unknown recipient was taken"
ok "unknown recipient: refused to the client"

send "$samples/demo-text.eml" tom@example.net nobody@example.net || fail "the mail that is to bounce was not taken"
delivered tom
grep -q "550 5\.1\.1 no such user" "$mail" || fail "the bounce does not quote the next hop"
ok "refused for good when it comes back: the sender has a bounce in the next hop's words"

# Without mimicryd mail waits in the queue, and comes when it is back.
stop_mimicryd >/dev/null
send "$samples/demo-text.eml" anna@example.org tom@example.net || fail "Exim takes no mail while mimicryd is away"
wait_for 15 grep -q " == tom@example.net .*Connection refused" "$mta_log"
"$mimicryd" run -c "$work/mimicry.toml"
in_jail -qff
delivered tom
(($(times "$footer" "$mail") == 1)) || fail "the mail that waited has the footer $(times "$footer" "$mail") times"
wait_for 10 test -z "$(in_jail -bpc | grep -v '^0$')"
ok "mimicryd away: the mail waits and comes with its footer, once"
