#!/bin/bash
# Postfix, mimicryd by LMTP, Postfix, maildir, set up by the samples: a recipient who is refused does not touch the others.
. "$(dirname "$0")/common.bash"

need postfix postfix
begin
write_config "$footer" 'protocol = "lmtp"'
for who in tom eva; do
    printf '[[rule]]\nname = "for %s"\nplugin = "disclaim"\nmatch = { recipient = "^%s@" }\noptions = { text = "For %s alone" }\n' \
        "$who" "$who" "$who" >>"$work/mimicry.toml"
done

# The LMTP transport, the way back of the other sample, and the port that mail comes in by. That one knows ann, whom the
# way back refuses behind the last dot.
refuse='    -o { smtpd_end_of_data_restrictions = check_recipient_access inline:{ { ann@example.net = REJECT gone } } }'
{
    cat "$root/etc/postfix/after-queue-lmtp.master.cf"
    sed -n '/^127\.0\.0\.1:10026 /,$p' "$root/etc/postfix/after-queue.master.cf" |
        sed "s/^    -o smtpd_end_of_data_restrictions=\$/$refuse/"
    echo "smtp inet n - n - - smtpd"
    echo "    -o smtpd_reject_unlisted_recipient=no"
} >"$work/master.cf"
grep -q 'REJECT gone' "$work/master.cf" || fail "the sample has no place for the refusal"
# The bounce has nowhere to go.
{
    cat "$root/etc/postfix/after-queue.main.cf"
    echo "default_transport = discard"
} >"$work/main.cf"
new_postfix "$work/main.cf" "$work/master.cf"
start_postfix
start_mimicryd

text_mail

send "$samples/demo-text.eml" anna@example.org tom@example.net,ann@example.net,eva@example.net || fail "the mail to three was not taken"
wait_for 20 grep -q "to=<ann@example.net>.*status=bounced.*554 5\.7\.1 .*gone" "$work/postfix.log"
for who in tom eva; do
    delivered "$who"
    (($(times "$footer" "$mail") == 1)) || fail "$who has the footer $(times "$footer" "$mail") times"
    (($(times "For $who alone" "$mail") == 1 && $(times "For " "$mail") == 1)) || fail "$who has another one's mail"
done
empty() { [[ -z $(postqueue -c "$postfix_dir" -j) ]]; }
wait_for 20 empty
for who in tom eva; do
    ! has_mail "$who" || fail "$who has the mail twice"
done
(($(grep -c "status=bounced" "$work/postfix.log") == 1)) || fail "more than one recipient was refused"
[[ -z $(find "$work/spool/ledger" -type f 2>/dev/null) ]] || fail "the ledger has an entry"
ok "three recipients in three classes, one refused behind the last dot: the others have their own mail, once"
