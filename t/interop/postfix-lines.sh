#!/bin/bash
# Postfix as the samples set it up: 20 deliveries at a time, and 20 smtpd that take mail back. Mails of one to eight classes,
# 20 at a time, all arrive once, and no recipient waits for longer than is set. A next hop by name is followed when its
# address changes, and a name server that never answers delays nobody else.
. "$(dirname "$0")/common.bash"

need postfix postfix
need python3 python3
need unshare util-linux
begin
mails=120
wait=1
configuration() {
    write_config "$footer"
    sed -i "s/^workers = .*/workers = { min = 20, max = 20, spare = 0 }/
        s/^next_hop = .*/next_hop = \"smtp:\/\/127.0.0.1:$port_back\"\nconnection_wait = \"${wait}s\"\n$1/" "$work/mimicry.toml"
    local n
    for n in 1 2 3 4 5 6 7 8; do
        cat >>"$work/mimicry.toml" <<TOML
[[rule]]
name = "class $n"
plugin = "keep"
match = { recipient = '^c$n-' }
TOML
    done
}

{
    cat "$root/etc/postfix/after-queue.master.cf"
    echo "smtp inet n - n - - smtpd"
} >"$work/master.cf"
new_postfix "$root/etc/postfix/after-queue.main.cf" "$work/master.cf"
{
    echo 'virtual_mailbox_maps = static:tom/'
    # What was put off comes again at once, not after five minutes.
    echo 'queue_run_delay = 2s'
    echo 'minimal_backoff_time = 2s'
    echo 'maximal_backoff_time = 4s'
} >>"$postfix_dir/main.cf"
start_postfix

# The client says to the daemon what Postfix would, so that each reply can be timed; Postfix is who takes the mail back.
cat >"$work/many.py" <<'PY'
import smtplib, sys, threading, time

port, mails, bound = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
lock, todo, longest, refused = threading.Lock(), list(range(mails)), [0.0], [0]


def timed(call, *args):
    began = time.monotonic()
    reply = call(*args)
    with lock:
        longest[0] = max(longest[0], time.monotonic() - began)
    return reply


def work():
    client = smtplib.SMTP("127.0.0.1", port, timeout=60)
    timed(client.ehlo, "client.example.org")
    while True:
        with lock:
            if not todo:
                break
            mail = todo.pop()
        to = [f"c{n}-{mail}@example.net" for n in range(1, 2 + mail % 8)]
        while to:
            timed(client.mail, "anna@elsewhere.example")
            later = []
            for one in to:
                code, text = timed(client.rcpt, one)
                if code == 452 and text.startswith(b"4.3.2"):
                    later.append(one)
                elif code != 250:
                    sys.exit(f"{one}: {code} {text}")
            if len(later) < len(to):
                code, text = client.data(f"Subject: {mail}\r\n\r\n{mail}\r\n")
                if code != 250:
                    sys.exit(f"{mail}: {code} {text}")
            else:
                client.rset()
            with lock:
                refused[0] += len(later)
            to = later
    client.quit()


failed = []
threading.excepthook = lambda failure: failed.append(failure.exc_value)
threads = [threading.Thread(target=work) for _ in range(20)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if failed:
    sys.exit(f"{len(failed)} sessions failed: {failed[0]!r}")
print(f"the longest reply took {longest[0]:.2f} s, {refused[0]} recipients came again")
if longest[0] > bound:
    sys.exit("that is too long")
PY

# The mails of 1 to 8 classes in turn.
recipients=$((mails * 36 / 8))
for connections in "" "connections = 20"; do
    configuration "$connections"
    start_mimicryd
    python3 "$work/many.py" "$port_in" "$mails" $((wait + 4)) >"$work/many.log" 2>&1 || fail "${connections:-by default}: $(cat "$work/many.log")"
    wait_for 60 has_arrived "$recipients"
    grep -h -m 1 '^X-Original-To: ' -r "$work/mail/tom/new" | sort | uniq -c | sort -rn >"$work/originals"
    (($(wc -l <"$work/originals") == recipients)) || fail "$(wc -l <"$work/originals") recipients have a mail instead of $recipients"
    (($(awk '$1 > 1' "$work/originals" | wc -l) == 0)) || fail "twice: $(head -3 "$work/originals")"
    ok "20 smtpd, 20 sessions, mails of 1 to 8 classes (${connections:-by default}): $(cat "$work/many.log")"
    stop_mimicryd >/dev/null
    rm -rf "$work/mail/tom"
done

# The whole way: through Postfix's queue, whose client brings those again who were put off.
configuration "connections = 20"
start_mimicryd
to=$(printf 'c%d-x@example.net,' 1 2 3 4 5 6 7 8)
for n in $(seq 40); do
    swaks --server 127.0.0.1 --port "$port_smtp" --helo client.example.org --from anna@elsewhere.example --to "${to%,}" \
        --header "Subject: $n" >>"$work/swaks.log" 2>&1 || fail "Postfix did not take mail $n"
done
wait_for 90 has_arrived 320
empty() { [[ -z $(postqueue -c "$postfix_dir" -j) ]]; }
wait_for 60 empty
(($(arrived) == 320)) || fail "$(arrived) mails arrived instead of 320"
! grep -q "status=bounced" "$work/postfix.log" || fail "Postfix bounced: $(grep -m 1 status=bounced "$work/postfix.log")"
ok "through the queue: 40 mails of eight classes each arrive once for each recipient"
stop_mimicryd >/dev/null

# A mount namespace has its own hosts and resolv.conf; a server at 127.0.0.53 hears and says nothing.
cat >"$work/silent.py" <<'PY'
import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("127.0.0.53", 53))
    while True:
        server.recv(4096)
PY
python3 "$work/silent.py" >"$work/silent.log" 2>&1 &
silent=$!
stop_silent() { kill "$silent"; }
at_end+=(stop_silent)
echo "nameserver 127.0.0.53" >"$work/resolv.conf"
echo "127.0.0.1 localhost hop.example" >"$work/hosts"
echo "hosts: files dns" >"$work/nsswitch.conf"
chmod 644 "$work"/{resolv.conf,hosts,nsswitch.conf}
configuration ""
sed -i "s/^next_hop = .*/next_hop = \"smtp:\/\/hop.example:$port_back\"/" "$work/mimicry.toml"
cat >>"$work/mimicry.toml" <<TOML
[[bank]]
name = "slow"
when.recipient = '@slow\.example$'
next_hop = "smtp://silent.example.com:25"
TOML
in_its_own_world() {
    unshare -m bash -c "mount --bind $work/resolv.conf /etc/resolv.conf && mount --bind $work/hosts /etc/hosts &&
        mount --bind $work/nsswitch.conf /etc/nsswitch.conf && exec $mimicryd run -c $work/mimicry.toml"
}
at_end+=(stop_mimicryd)
began=$SECONDS
in_its_own_world || fail "mimicryd does not start while a name server is silent"
ask() { swaks --server 127.0.0.1 --port "$port_in" --helo client.example.org --from anna@elsewhere.example --to "$1" >"$work/swaks.log" 2>&1; }
ask tom@example.net || fail "the mail to a name in hosts was not taken"
((SECONDS - began < 5)) || fail "a silent name server delayed the start, or others, for $((SECONDS - began)) s"
! ask eva@slow.example || fail "a mail for a name that nobody knows was taken"
grep -q "451 4.4.1 .*its name was not found" "$work/swaks.log" || fail "$(tail -5 "$work/swaks.log")"
ok "a name server that says nothing delays its own mail only"

# The address changes without the old one going away: within a minute the new one is in use. Written in place, for the mount
# is of the file.
echo "127.0.0.2 hop.example" >"$work/hosts"
began=$SECONDS
wait_for 60 grep -q "next hop smtp://hop.example:$port_back is now at 127.0.0.2:$port_back, it was at 127.0.0.1:$port_back" "$work/mimicry.log"
"$mimicryd" status -c "$work/mimicry.toml" | grep -q "next hop smtp://hop.example:$port_back at 127.0.0.2:$port_back, found" || fail "status has another address"
ok "a change of address was followed after $((SECONDS - began)) s"
