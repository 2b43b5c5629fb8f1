#!/bin/bash
# Python's email package and html.parser read every mail of the corpus before and after disclaim, with many sets of options.
. "$(dirname "$0")/common.bash"

need python3 python3
need_mimicryd

mkdir "$work/sets"
python3 "$root/t/interop/reader.py" "$mimicryd" "$root/t/mail" "$work/sets" || fail "Python reads something else"
