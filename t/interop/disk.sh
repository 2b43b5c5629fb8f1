#!/bin/bash
# Disks that are really full, without inodes or read-only: that of the log, that of the spool and the mail. What the client hears is so,
# nothing is lost or doubled, no worker dies, the master stays calm, and all goes on when it is over.
. "$(dirname "$0")/common.bash"

need_root
need swaks swaks
need_mimicryd

free_port port_in
port_back=0
worker=$(worker_user)
install -d -m 0755 "$work/disk" "$work/log"
unmount() { umount "$work/disk" "$work/log"; }
mount -t tmpfs -o "size=1m,nr_inodes=100,mode=0755" tmpfs "$work/disk" || fail "cannot mount a tmpfs"
mount -t tmpfs -o "size=64k,mode=0755" tmpfs "$work/log" || fail "cannot mount a tmpfs"
at_end+=(unmount)
install -d -m 0700 -o "$worker" "$work/disk/mail"

write_config "A footer"
sed -i "s|^next_hop = .*|next_hop = \"maildir://$work/disk/mail/tom\"|; s|^spool = .*|spool = \"$work/disk/spool\"|" "$work/mimicry.toml"
sed -i "s|^target = .*|target = \"file:$work/log/mimicry.log\"|; s|^workers = .*|workers = { min = 2, max = 2, spare = 0 }|" "$work/mimicry.toml"
cat >>"$work/mimicry.toml" <<TOML
[[rule]]
name = "another class"
plugin = "header"
match = { recipient = '^eva@' }
options = { add = { X-Class = "eva" } }
TOML
start_mimicryd
printf 'From: anna@example.org\r\nMessage-ID: <1@example.org>\r\nSubject: small\r\n\r\nHello\r\n' >"$work/small.eml"

# post TO: what was heard is in $work/swaks.log, its last refusal in $heard.
post() {
    { cat "$work/small.eml"; printf '.'; } >"$work/data.eml"
    swaks --server 127.0.0.1 --port "$port_in" --helo client.example.org --from anna@example.org --to "$1" --timeout 20 \
        --data "@$work/data.eml" --no-data-fixup >"$work/swaks.log" 2>&1 </dev/null || :
    heard=$(grep '^<\(\*\*\|- \)' "$work/swaks.log" | grep -v '^<- *221' | tail -n 1 | sed 's/^<[-*]* *//')
}
delivered() { find "$work/disk/mail/tom/new" -type f | wc -l; }
status() { "$mimicryd" status --json -c "$work/mimicry.toml"; }
workers() { status | grep '"pid"' | sort -u; }
# Ticks of processor time of the master, 100 a second.
ticks() { echo "$(($(cut -d ' ' -f 14,15 "/proc/$(cat "$work/run/mimicryd.pid")/stat" | tr ' ' '+')))"; }
calm() {
    local before after
    before=$(ticks)
    sleep 3
    after=$(ticks)
    ((after - before < 15)) || fail "$1: the master took $((after - before)) ticks in 3 s"
    [[ $(workers) == "$all" ]] || fail "$1: a worker died"
}
all=$(workers)

expect() {
    [[ $heard == "$1"* ]] || fail "$2: heard $heard instead of $1"
}

post tom@example.net
expect 250 "at first"
(($(delivered) == 1)) || fail "not delivered"

dd if=/dev/zero of="$work/log/fill" bs=1k count=100 2>/dev/null || :
for _ in 1 2 3 4 5; do
    post tom@example.net
    expect 250 "with a full log"
done
(($(delivered) == 6)) || fail "with a full log $(delivered) of 6 mails are delivered"
calm "with a full log"
rm "$work/log/fill"
post tom@example.net
expect 250 "with room for the log"
(($(grep -c " status=sent " "$work/log/mimicry.log") >= 2)) || fail "the log does not go on"
ok "the disk of the log is full: mail goes on, and so does the log when there is room"

dd if=/dev/zero of="$work/disk/fill" bs=1k count=2000 2>/dev/null || :
before=$(delivered)
post tom@example.net
expect "452 4.3.1 " "with a full disk"
calm "with a full disk"
(($(delivered) == before)) || fail "half a mail is delivered"
[[ -z $(find "$work/disk/mail/tom/tmp" -type f) ]] || fail "a part of a mail is left"
rm "$work/disk/fill"
post tom@example.net
expect 250 "with room again"
(($(delivered) == before + 1)) || fail "lost or doubled"
ok "the disk of the mail is full: 452, and nothing is left behind"

number=0
while touch "$work/disk/inode.$number" 2>/dev/null; do number=$((number + 1)); done
before=$(delivered)
post tom@example.net,eva@example.net
expect "452 4.3.1 " "without inodes"
[[ $heard == *"could not be remembered"* ]] || fail "no word of the ledger in: $heard"
calm "without inodes"
(($(delivered) == before)) || fail "a class has a mail that will come again"
rm "$work"/disk/inode.*
post tom@example.net,eva@example.net
expect 250 "with inodes again"
(($(delivered) == before + 2)) || fail "lost or doubled: $(delivered) instead of $((before + 2))"
[[ -z $(find "$work/disk/spool/ledger" -type f) ]] || fail "the ledger remembers a mail that all have"
ok "no inode for the ledger: no class gets the mail, and each gets it once afterwards"

mount -o remount,ro "$work/disk"
before=$(delivered)
post tom@example.net
expect "451 4.3.0 " "read-only"
post tom@example.net,eva@example.net
expect "451 4.3.0 " "read-only"
calm "read-only"
mount -o remount,rw "$work/disk"
post tom@example.net,eva@example.net
expect 250 "writable again"
(($(delivered) == before + 2)) || fail "lost or doubled"
ok "a read-only disk: 451, and all goes on when it can be written"
stop_mimicryd
at_end=(unmount)

# A disk that hangs, as a frozen file system does: whoever writes there stands still, and no signal ends that.
need fsfreeze util-linux
need mkfs.ext4 e2fsprogs
mount -o remount,size=64m "$work/disk"
dd if=/dev/zero of="$work/disk/image" bs=1M count=16 2>/dev/null
mkfs.ext4 -q "$work/disk/image"
# What was kept there before is below it meanwhile.
install -d -m 0755 "$work/state"
if mount -o loop "$work/disk/image" "$work/state" 2>/dev/null; then
    thaw() { fsfreeze -u "$work/state" 2>/dev/null || :; umount "$work/state"; unmount; }
    at_end=(thaw)
    start_mimicryd
    listed() { "$mimicryd" generations -c "$work/mimicry.toml" | wc -l; }
    kept() { (($(listed) == $1)); }
    wait_for 10 kept 1
    fsfreeze -f "$work/state"
    sed -i 's|class = "eva"|class = "susi"|; s|X-Class = "eva"|X-Class = "susi"|' "$work/mimicry.toml"
    timeout 20 "$mimicryd" reload -c "$work/mimicry.toml" >"$work/said" 2>&1 || fail "a reload with a frozen disk: $(cat "$work/said")"
    grep -q "is in force, generation 2" "$work/said" || fail "a reload with a frozen disk: $(cat "$work/said")"
    # A worker dies, and the master replaces it.
    victim=$(status | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | sed -n 2p)
    kill -KILL "$victim"
    replaced() { timeout 5 "$mimicryd" status --json -c "$work/mimicry.toml" | grep -q '"pid"' && ! status | grep -q "\"pid\": *$victim\b"; }
    wait_for 10 replaced
    post tom@example.net
    expect 250 "with a frozen disk"
    fsfreeze -u "$work/state"
    wait_for 10 kept 2
    ok "a disk of the state that hangs: reload, workers and mail go on, and the configuration is kept when it is over"
    stop_mimicryd
else
    echo "no file system can be mounted from a file: a disk that hangs is not tried"
fi
