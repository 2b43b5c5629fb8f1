#!/bin/bash
# Python's email package reads every mail of the corpus: the tree, the decoded parts and the names of files are ours, but for what is listed.
. "$(dirname "$0")/common.bash"

need python3 python3
(cd "$root" && cargo build --quiet --locked --workspace --example tree) || fail "cannot build the example"

python3 "$root/t/interop/differential.py" "$root/target/debug/examples/tree" "$root/t/mail" || fail "Python reads something else"
