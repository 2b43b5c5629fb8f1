#!/bin/bash
# Headless Chromium shows HTML mail before and after disclaim: the text is seen, and stands where it belongs.
. "$(dirname "$0")/common.bash"

need python3 python3
need chromium chromium
need_mimicryd

mkdir "$work/pages"
python3 "$root/t/interop/render.py" "$mimicryd" "$root/t/mail" "$work/pages" chromium || fail "Chromium shows something else"
