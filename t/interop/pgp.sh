#!/bin/bash
# What pgp_sign and pgp_encrypt make of each mail of the corpus: gpg, and sqop and RNP where they are, open and verify it, and find what the
# rules made; a table of keys that are of no use, with the exact answers; who gets a copy in secret is in no packet; and a signed mail over
# a Postfix that allows 7 bits only.
. "$(dirname "$0")/common.bash"

need python3 python3
need gpg gnupg
need postfix postfix
begin
need_mimicryd_with_features

keys=$root/mimicry-plugins/tests/keys/pgp
export GNUPGHOME=$work/gnupg
mkdir -m 700 "$GNUPGHOME"
at_end+=("gpgconf --kill all")
# One secret key: where none is named, gpg tries all, and each that does not fit makes it exit with 2.
gpg --batch --quiet --import "$keys/bo.secret.asc" "$keys/anna.asc" 2>/dev/null || fail "gpg takes no keys"
python3 "$root/t/interop/pgp.py" "$mimicryd" "$root/t/mail" "$keys" "$work" || fail "a mail is not what it should be"

# One of the mails in 8 bits, with what transports like to change at the ends of lines.
cat >"$work/eight.eml" <<MAIL
From: Anna Berg <anna.berg@example.org>
To: tom@example.net
Subject: eight
Message-ID: <eight@example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Grüße, with a blank at the end 
From here on
.a dot
-- 

MAIL
sed -i 's/$/\r/' "$work/eight.eml"
write_config "Grüße" 'xforward_clients = ["127.0.0.0/8"]'
cp "$keys/anna.secret.asc" "$work"
chmod 600 "$work/anna.secret.asc"
cat >>"$work/mimicry.toml" <<TOML
[[rule]]
name = "sign"
plugin = "pgp_sign"
match = { client = "127.0.0.0/8" }
options.keys = { "example.org" = "$work/anna.secret.asc" }
TOML
start_seven_bits
signed=0
for file in "$work/eight.eml" "${mails_of_anna[@]}"; do
    name=$(basename "$file")
    send "$file" anna@example.org tom@example.net || fail "$name was not taken: $(cat "$work/swaks.log")"
    delivered tom
    grep -q signature.asc "$mail" || continue
    signed=$((signed + 1))
    python3 "$root/t/interop/split.py" "$mail" "$work/content"
    gpg --batch --no-tty --verify "$work/content.asc" "$work/content" 2>"$work/verify.log" ||
        fail "$name does not verify behind 7 bits: $(cat "$work/verify.log")"
done
((signed >= 5)) || fail "$signed mails were signed"
ok "$signed signed mails verify behind a Postfix of 7 bits"
