#!/bin/bash
# Headless Chromium shows mail from outside: whatever its styles say, the banner is seen, on top and not covered.
. "$(dirname "$0")/common.bash"

need python3 python3
need chromium chromium
need_mimicryd

mkdir "$work/pages"
python3 "$root/t/interop/banner.py" "$root/t/interop" "$mimicryd" "$work/pages" chromium || fail "Chromium shows something else"
