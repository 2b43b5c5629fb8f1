#!/bin/bash
# Signed and encrypted mail passes through rules; gpg, openssl and dkimpy still verify and decrypt it.
. "$(dirname "$0")/common.bash"

need python3 python3
need gpg gpg
need gpg-agent gpg-agent
need gpgconf gpgconf
need openssl openssl
need_python dkim python3-dkim
need_mimicryd

# The name of the agent's socket must be short.
mkdir "$work/s"
"$python" "$root/t/interop/sealed.py" "$mimicryd" "$root/t/mail" "$work/s" || fail "a seal is broken"
