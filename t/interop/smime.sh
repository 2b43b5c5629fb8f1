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

write_config "Grüße" 'xforward_clients = ["127.0.0.0/8"]'
cat >>"$work/mimicry.toml" <<TOML
[[rule]]
name = "sign"
plugin = "smime_sign"
match = { client = "127.0.0.0/8" }
options.keys = { "anna.berg@example.org" = "$work/s/anna.pem" }
TOML
chmod 600 "$work/s/anna.pem"
start_seven_bits
signed=0
for file in "${mails_of_anna[@]}"; do
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
