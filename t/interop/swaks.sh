#!/bin/bash
# swaks speaks to mimicryd directly, with each option that changes how SMTP is spoken; the next hop is a maildir.
. "$(dirname "$0")/common.bash"

need swaks swaks
# Without it swaks has no --tls.
need_perl Net::SSLeay libnet-ssleay-perl
need_mimicryd

free_port port_in
port_back=0
footer="Sent by Example Ltd, no. 123456"
write_config "$footer"
sed -i "s|^next_hop = .*|next_hop = \"maildir://$work/mail/tom\"|" "$work/mimicry.toml"
printf '\n[limits]\nmail = "2M"\nrecipients = 3\n' >>"$work/mimicry.toml"
mkdir -p "$work/mail"
(($(id -u) != 0)) || chown nobody "$work/mail"
start_mimicryd

# swaks_ends CODE OPTION...: its exit codes are in swaks(1), section EXIT CODES.
swaks_ends() {
    local expected=$1 code=0
    shift
    swaks --server 127.0.0.1 --port "$port_in" --helo client.example.org --from anna@example.org --to tom@example.net \
        --timeout 20 "$@" >"$work/swaks.log" 2>&1 </dev/null || code=$?
    ((code == expected)) || fail "swaks $* ended with $code, not $expected"
}

# arrives OPTION...: the mail comes with one footer; it is in $mail.
arrives() {
    swaks_ends 0 "$@"
    delivered tom
    (($(times "$footer" "$mail") == 1)) || fail "swaks $*: the footer is there $(times "$footer" "$mail") times"
    ok "swaks $*"
}

arrives
arrives --protocol SMTP
grep -q '^ -> HELO client' "$work/swaks.log" || fail "swaks did not say HELO"
arrives --protocol ESMTP
arrives --pipeline
grep -q PIPELINING "$work/swaks.log" || fail "PIPELINING is not offered"
arrives --pipeline --to tom@example.net,eva@example.net
arrives --header "Subject: a subject" --header "X-Own: kept as it is"
grep -q '^X-Own: kept as it is.\?$' "$mail" || fail "a header field was lost"
arrives --body $'two\n.\n..\n.lines with dots'
(($(grep -c -x -e '\.\+.\?' "$mail") == 2)) || fail "lines of dots: $(grep -n -x -e '\.\+.\?' "$mail")"
arrives --header "Content-Type: text/plain; charset=utf-8" --header "MIME-Version: 1.0" --header "Content-Transfer-Encoding: 8bit" --body "Grüße"
grep -q "Grüße" "$mail" || fail "8-bit text was changed"
# 1.4 MB in base64, which has to come back as it was.
head -c 1000000 /dev/urandom >"$work/attached.bin"
arrives --body "with a file" --attach-type application/octet-stream --attach "@$work/attached.bin"
tr -d '\r' <"$mail" | awk '/^Content-Transfer-Encoding: BASE64/ { inside = 1; next } /^--/ { inside = 0 } inside' | base64 -d |
    cmp "$work/attached.bin" - || fail "the attachment was changed"
arrives --local-interface 127.0.0.5

# No rule is for these.
swaks_ends 0 --from '<>' --body "null return path"
delivered tom
grep -q "null return path" "$mail" || fail "the body of a bounce was lost"
(($(times "$footer" "$mail") == 0)) || fail "a mail from nobody has the footer"
ok "null return path"

# A client that goes away leaves nothing behind.
for stage in CONNECT FIRST-EHLO MAIL RCPT; do
    swaks_ends 0 --quit-after "$stage"
done
for stage in CONNECT FIRST-EHLO MAIL RCPT DATA; do
    swaks_ends 0 --drop-after "$stage"
done
# One mail came, and it is this one.
arrives --header "Subject: after those that left"
grep -q '^Subject: after those that left' "$mail" || fail "a mail came from a client that left"
ok "quit and drop at each stage"

# What is not offered or not allowed is said so.
swaks_ends 29 --tls
swaks_ends 0 --tls-optional-strict
delivered tom
swaks_ends 28 --auth PLAIN --auth-user anna --auth-password secret
swaks_ends 24 --to 'not an address'
swaks_ends 23 --from 'anna@example.org> SIZE=100000000 X=<'
swaks_ends 0 --to a@example.net,b@example.net,c@example.net,d@example.net
(($(grep -c '^<\*\* 452 4\.5\.3' "$work/swaks.log") == 1)) || fail "the fourth of three recipients was not put off"
delivered tom
head -c 3000000 /dev/zero | tr '\0' x | fold -w 70 >"$work/large"
swaks_ends 26 --body "@$work/large"
grep -q '^<\*\* 552 5\.3\.4' "$work/swaks.log" || fail "too large is not said to be so: $(grep '^<\*\*' "$work/swaks.log")"
has_mail tom && fail "a mail came that was refused"
ok "TLS, AUTH, bad addresses, too many recipients, too large"
