#!/bin/bash
# Headless Chromium opens the page of explain --html: hostile mails reach nothing and run nothing, ordinary ones are shown.
. "$(dirname "$0")/common.bash"

need python3 python3
need chromium chromium
need_mimicryd

mkdir "$work/pages"
python3 "$root/t/interop/look.py" "$mimicryd" "$root" "$work/pages" chromium || fail "the page is not as it should be"
