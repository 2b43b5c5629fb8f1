#!/bin/bash
# OpenSMTPD, mimicryd, OpenSMTPD, maildir, set up by the sample in etc/opensmtpd: the footer comes once, the rest stays.
. "$(dirname "$0")/common.bash"

begin
write_config "$footer"
new_opensmtpd
start_opensmtpd
start_mimicryd

text_mail
(($(times "(OpenSMTPD)" "$mail") == 2)) || fail "the text mail did not go through OpenSMTPD twice"
newsletter
signed_mail

mail_to_two

# The port that mail comes in by does not know the users.
send "$samples/demo-text.eml" tom@example.net nobody@example.net || fail "the mail that is to bounce was not taken"
delivered tom
grep -q "550 Invalid recipient" "$mail" || fail "the bounce does not quote the next hop"
ok "refused for good when it comes back: the sender has a bounce in the next hop's words"

# Without mimicryd mail waits in the queue, and comes when it is back.
stop_mimicryd >/dev/null
send "$samples/demo-text.eml" anna@example.org tom@example.net || fail "OpenSMTPD takes no mail while mimicryd is away"
wait_for 15 grep -q 'mta delivery .*result="TempFail"' "$mta_log"
"$mimicryd" run -c "$work/mimicry.toml"
chroot "$jail" /usr/sbin/smtpctl schedule all >"$work/schedule.log" 2>&1 || :
chroot "$jail" /usr/sbin/smtpctl resume route all >>"$work/schedule.log" 2>&1 || :
delivered tom
(($(times "$footer" "$mail") == 1)) || fail "the mail that waited has the footer $(times "$footer" "$mail") times"
ok "mimicryd away: the mail waits and comes with its footer, once"
