#!/bin/bash
# The commands of mimicry-plugins(7) that make keys, run as they stand there: mimicryd takes what they make.
. "$(dirname "$0")/common.bash"

need gpg gnupg
need openssl openssl
need_mimicryd_with_features

export GNUPGHOME=$work/gnupg
mkdir -m 700 "$GNUPGHOME"
at_end+=("gpgconf --kill all")
# Nobody is there who could be asked for a passphrase.
printf '%s\n' batch "pinentry-mode loopback" "passphrase-file /dev/null" >"$GNUPGHOME/gpg.conf"

# Each literal block that ends with mimicryd, without what mdoc adds.
page=$root/man/mimicry-plugins.7
awk -v out="$work/block" '
    /^\.Bd -literal/ { text = ""; inside = 1; next }
    /^\.Ed/ { if (inside && text ~ /\nmimicryd keys/) printf "%s", text > (out "." ++n); inside = 0; next }
    inside { gsub(/\\e/, "\\"); gsub(/\\-/, "-"); text = text $0 "\n" }' "$page"
blocks=("$work"/block.*)
((${#blocks[@]} == 3)) || fail "${#blocks[@]} blocks of the page make keys, not those of PGP, S/MIME and DKIM"

# What an authority has sent.
cd "$work"
openssl req -x509 -newkey rsa:2048 -nodes -keyout anna.key -out anna.crt -days 300 -subj "/CN=Anna" \
    -addext "subjectAltName=email:anna@example.org" -addext "keyUsage=digitalSignature" \
    -addext "basicConstraints=critical,CA:false" 2>openssl.log
openssl pkcs12 -export -in anna.crt -inkey anna.key -passout pass: -out anna.p12
cat >mimicry.toml <<TOML
[[listen]]
name = "in"
address = "127.0.0.1:10025"
[relay]
next_hop = "smtp://127.0.0.1:10026"
[[rule]]
name = "pgp"
plugin = "pgp_sign"
match = { client = "127.0.0.0/8" }
options.keys = { "example.org" = "sign.asc" }
[[rule]]
name = "smime"
plugin = "smime_sign"
match = { client = "127.0.0.0/8" }
options.keys = { "anna@example.org" = "anna.pem" }
[[rule]]
name = "dkim"
plugin = "dkim_sign"
match = { client = "127.0.0.0/8" }
options.keys = { "example.org" = ["s2026.pem", "e2026.pem"] }
TOML
for block in "${blocks[@]}"; do
    # Some of them check the configuration, which has all keys only at the end.
    sed 's/^mimicryd check$/:/' "$block" >"$block.sh"
    setsid -w bash -e -c "mimicryd() { '$mimicryd' \"\$@\"; }; . '$block.sh'" <<<"" >"$block.out" 2>"$block.log" ||
        fail "$(cat "$block" "$block.out" "$block.log")"
    ! grep "a rule would not take\|of no use" "$block.out" "$block.log" || fail "$(cat "$block")"
    cat "$block.out"
done
"$mimicryd" check --offline -c mimicry.toml 2>&1 | tee check.log
grep -q '3 rules' check.log || fail "the keys are not taken"
# Nothing secret can be read by others.
for file in sign.asc anna.pem s2026.pem e2026.pem; do
    [[ $(stat -c %a "$file") == 600 ]] || fail "$file has mode $(stat -c %a "$file")"
done
ok "keys that were made by the commands of the page are taken"
