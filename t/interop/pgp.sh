#!/bin/bash
# What pgp_sign and pgp_encrypt make of each mail of the corpus: gpg, and sqop and RNP where they are, open and verify it, and find what the
# rules made; a table of keys that are of no use, with the exact answers; who gets a copy in secret is in no packet.
. "$(dirname "$0")/common.bash"

need python3 python3
need gpg gnupg
need_mimicryd_with_features

keys=$root/mimicry-plugins/tests/keys/pgp
export GNUPGHOME=$work/gnupg
mkdir -m 700 "$GNUPGHOME"
at_end+=("gpgconf --kill all")
# One secret key: where none is named, gpg tries all, and each that does not fit makes it exit with 2.
gpg --batch --quiet --import "$keys/bo.secret.asc" "$keys/anna.asc" 2>/dev/null || fail "gpg takes no keys"
python3 "$root/t/interop/pgp.py" "$mimicryd" "$root/t/mail" "$keys" "$work" || fail "a mail is not what it should be"
