#!/bin/bash
# What smime_sign and smime_encrypt make of mails, read by openssl and gpgsm; and a signed mail over a Postfix that allows 7 bits only.
. "$(dirname "$0")/common.bash"

need python3 python3
need openssl openssl
need gpgsm gpgsm
need gpgconf gpgconf
need postfix postfix
begin

need_mimicryd_with_features

# The name of the agent's socket must be short.
mkdir "$work/s"
python3 "$root/t/interop/smime.py" "$mimicryd" "$root/t/mail" "$work/s" || fail "openssl or gpgsm disagree"

# The mail goes through Postfix, which hands it to a server of 7 bits: itself, on a third port.
port_seven=
free_port port_seven
write_config "Grüße" 'xforward_clients = ["127.0.0.0/8"]'
cat >>"$work/mimicry.toml" <<TOML
[[rule]]
name = "sign"
plugin = "smime_sign"
match = { client = "127.0.0.0/8" }
options.keys = { "anna.berg@example.org" = "$work/s/anna.pem" }
TOML
chmod 600 "$work/s/anna.pem"
echo "content_filter = seven:[127.0.0.1]:$port_seven" >"$work/main.cf"
cat >"$work/master.cf" <<CF
seven unix - - n - - smtp
127.0.0.1:$port_back inet n - n - - smtpd
smtp inet n - n - - smtpd
127.0.0.1:$port_seven inet n - n - - smtpd
    -o content_filter=
    -o smtpd_discard_ehlo_keywords=8bitmime,chunking,smtputf8
CF
new_postfix "$work/main.cf" "$work/master.cf"
start_postfix
wait_for 10 listens "$port_seven"
start_mimicryd
port_smtp=$port_in
signed=0
mapfile -t mails < <(grep -l -i '^From:.*anna\.berg@example\.org' "$samples"/{charset,flowed,html,outlook,related,roundcube,sogo}*.eml | head -n 12)
((${#mails[@]} >= 5)) || fail "there are few mails of Anna's"
for file in "${mails[@]}"; do
    name=$(basename "$file")
    # In 8 bits where the mail has them: what leaves signed has none.
    send "$file" anna@example.org tom@example.net || fail "$name was not taken: $(cat "$work/swaks.log")"
    delivered tom
    grep -q smime.p7s "$mail" || continue
    signed=$((signed + 1))
    openssl cms -verify -in "$mail" -CAfile "$work/s/root.crt" -purpose smimesign -out "$work/content" 2>"$work/verify.log" ||
        fail "$name does not verify behind 7 bits: $(cat "$work/verify.log")"
done
((signed >= 5)) || fail "$signed mails were signed"
ok "$signed signed mails verify behind a Postfix of 7 bits"
