#!/bin/bash
# Some thousand mails while workers die, the next hop fails, the configuration is reloaded, the program is upgraded and the disk is gone: a short
# run of t/bench/endure, at most two minutes.
. "$(dirname "$0")/common.bash"

timeout 600 "$root/t/bench/endure" --dev --mails 5000 --disk 10 || fail "the promise is broken"
