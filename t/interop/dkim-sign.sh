#!/bin/bash
# What dkim_sign makes of each mail of the corpus, after each plugin that edits: dkimpy and Mail::DKIM verify it, and refuse it with one more octet.
. "$(dirname "$0")/common.bash"

need python3 python3
need openssl openssl
need_python dkim python3-dkim
need_python nacl python3-nacl
need_perl Mail::DKIM::Verifier libmail-dkim-perl
need_mimicryd

"$python" "$root/t/interop/dkim_sign.py" "$mimicryd" "$root/t/mail" "$work" || fail "a signature does not hold"
