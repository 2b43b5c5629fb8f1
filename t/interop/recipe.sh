#!/bin/bash
# What message_instance says of each mail of the corpus, after each plugin that edits: a reader of the draft of its own finds the hashes
# right, makes header and body again, and mimicryd restore makes the mail octet for octet.
. "$(dirname "$0")/common.bash"

need python3 python3
need_mimicryd_with_features

cp "$root/mimicry-plugins/tests/keys/pgp/anna.secret.asc" "$work"
chmod 600 "$work/anna.secret.asc"

python3 "$root/t/interop/recipe.py" "$mimicryd" "$root/t/mail" "$work" || fail "a recipe leads elsewhere"
