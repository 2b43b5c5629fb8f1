#!/bin/bash
# Archives that zip, tar_gzip and tar_bzip2 make are unpacked by other programs: every name and every octet is right.
. "$(dirname "$0")/common.bash"

need python3 python3
need unzip unzip
need zip zip
need 7z p7zip-full
need bsdtar libarchive-tools
need tar tar
need bzip2 bzip2
need_mimicryd

mkdir "$work/unpacked"
# Names are in UTF-8, and unzip asks the locale.
LC_ALL=C.UTF-8 python3 "$root/t/interop/unpack.py" "$mimicryd" "$work/unpacked" || fail "an archive is read otherwise"
