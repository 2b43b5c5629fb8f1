#!/bin/bash
# No mail costs more instructions than its baseline allows; t/bench/instructions.rs says what is counted. It needs valgrind.
set -euo pipefail
cd "$(dirname "$0")"

exec ../bench/instructions
