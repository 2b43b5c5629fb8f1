#!/bin/bash
# Two mimicryd behind HAProxy, set up by the sample in etc/haproxy: one is killed under load and comes back, no mail is lost.
. "$(dirname "$0")/common.bash"

need haproxy haproxy
need python3 python3
need_mimicryd

free_port port_smtp
free_port port_back
free_port port_one
free_port port_two
footer="Sent by Example Ltd, no. 123456"
client=127.0.0.77

# node NAME PORT: a daemon with files of its own.
node() {
    port_in=$2
    write_config "$footer" 'proxy_clients = ["127.0.0.1"]
clients = ["127.0.0.77"]'
    sed -i "s|$work/run|$work/$1/run|; s|$work/spool|$work/$1/spool|; s|$work/mimicry.log|$work/$1.log|" "$work/mimicry.toml"
    mkdir -p "$work/$1"
    mv "$work/mimicry.toml" "$work/$1/mimicry.toml"
    "$mimicryd" run -c "$work/$1/mimicry.toml" || fail "mimicryd $1 does not start"
}
node_pid() { cat "$work/$1/run/mimicryd.pid"; }
stop_nodes() {
    "$mimicryd" stop -c "$work/one/mimicry.toml"
    "$mimicryd" stop -c "$work/two/mimicry.toml"
}
at_end+=(stop_nodes)
# shellcheck disable=SC2154  # free_port has set them
node one "$port_one"
# shellcheck disable=SC2154
node two "$port_two"

sed "s/0\\.0\\.0\\.0:25/127.0.0.1:$port_smtp/; s/192\\.0\\.2\\.11:10025/127.0.0.1:$port_one/; s/192\\.0\\.2\\.12:10025/127.0.0.1:$port_two/" \
    "$root/etc/haproxy/haproxy.cfg" >"$work/haproxy.cfg"
haproxy -c -f "$work/haproxy.cfg" >"$work/check.log" 2>&1 || fail "haproxy.cfg: $(cat "$work/check.log")"
haproxy -db -f "$work/haproxy.cfg" >"$work/haproxy.log" 2>&1 &
balancer=$!
stop_balancer() { kill "$balancer"; }
at_end+=(stop_balancer)

# The next hop: each mail that it answers by 250 becomes a line with the mail's number.
cat >"$work/sink.py" <<'PYTHON'
import re, socketserver, sys, time

FOOTER = b"Sent by Example Ltd, no. 123456"
arrived = open(sys.argv[2], "ab", buffering=0)


class Session(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text + b"\r\n")

    def handle(self):
        self.say(b"220 sink.example.net")
        for line in self.rfile:
            verb = line[:4].upper().strip()
            if verb == b"EHLO":
                self.say(b"250-sink.example.net\r\n250-8BITMIME\r\n250 PIPELINING")
            elif verb == b"DATA":
                self.say(b"354 go on")
                mail = b""
                for line in self.rfile:
                    if line == b".\r\n":
                        break
                    mail += line
                else:
                    return
                number = re.search(rb"^Message-ID: <(\d+)@", mail, re.M)[1]
                # One write, so that lines of two sessions do not mix.
                arrived.write(b"%s %d\n" % (number, mail.count(FOOTER)))
                # So that a killed daemon has mails in hand.
                time.sleep(0.02)
                self.say(b"250 2.0.0 taken")
            elif verb == b"QUIT":
                return self.say(b"221 bye")
            else:
                self.say(b"250 2.1.0 ok")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128


Server(("127.0.0.1", int(sys.argv[1])), Session).serve_forever()
PYTHON
: >"$work/arrived"
python3 "$work/sink.py" "$port_back" "$work/arrived" >"$work/sink.log" 2>&1 &
sink=$!
stop_sink() { kill "$sink"; }
at_end+=(stop_sink)
wait_for 10 listens "$port_back"
wait_for 10 listens "$port_smtp"

# The clients: four that keep a mail until a 250, as an MTA does, and go on until they have done enough. A line for each mail: its number, and how many attempts ended
# without the reply to the last dot, each of which may have delivered it.
cat >"$work/load.py" <<'PYTHON'
import itertools, os, smtplib, sys, threading, time

port, source, sent, enough, CLIENTS = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], 4
done = open(sent, "a", buffering=1)
deadline = time.monotonic() + 50
failed = []


def deliver(number):
    mail = f"Message-ID: <{number}@client.example>\r\nSubject: {number}\r\n\r\nmail {number}\r\n".encode()
    unknown = 0
    while time.monotonic() < deadline:
        dotted = taken = False
        try:
            with smtplib.SMTP("127.0.0.1", port, "client.example", 10, (source, 0)) as client:
                client.ehlo()
                client.mail("anna@example.org")
                code, text = client.rcpt("tom@example.net")
                if code != 250:
                    raise smtplib.SMTPResponseException(code, text)
                dotted = True
                code, text = client.data(mail)
                if code != 250:
                    raise smtplib.SMTPResponseException(code, text)
                taken = True
        except smtplib.SMTPResponseException as error:
            # Without a reply smtplib says -1.
            if 500 <= error.smtp_code:
                failed.append(f"mail {number} was refused: {error}")
            if taken:
                failed.append(f"mail {number} was taken, and QUIT was answered by {error}")
            unknown += dotted and not taken and error.smtp_code < 200
        except (smtplib.SMTPException, OSError):
            unknown += dotted and not taken
        if taken:
            break
        time.sleep(0.1)
    else:
        failed.append(f"mail {number} was not taken in time")
    done.write(f"{number} {unknown}\n")


def client(first):
    for number in itertools.count(first, CLIENTS):
        if failed or os.path.exists(enough):
            return
        deliver(number)


threads = [threading.Thread(target=client, args=[first]) for first in range(CLIENTS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit("\n".join(failed) or 0)
PYTHON
: >"$work/sent"
python3 "$work/load.py" "$port_smtp" "$client" "$work/sent" "$work/enough" >"$work/load.log" 2>&1 &
load=$!

sent_at_least() { (($(wc -l <"$work/sent") >= $1)); }
says() { grep -q -F "$1" "$work/haproxy.log"; }
mails() { grep -c "status=sent .*client=$client " "$work/$1.log" || :; }

wait_for 20 sent_at_least 100
(($(mails one) > 20 && $(mails two) > 20)) || fail "the load is not shared: $(mails one) and $(mails two) mails"
ok "both take mail: $(mails one) and $(mails two)"

master=$(node_pid one)
mapfile -t workers < <(pgrep -P "$master" -f '^mimicryd: worker')
kill -KILL "$master" "${workers[@]}"
wait_for 20 says "Server mimicry/one is DOWN"
before=$(wc -l <"$work/sent")
wait_for 20 sent_at_least $((before + 50))
ok "one is killed: HAProxy takes it out, and mail goes on"

was=$(mails one)
"$mimicryd" run -c "$work/one/mimicry.toml" || fail "mimicryd one does not start again"
wait_for 20 says "Server mimicry/one is UP"
more() { (($(mails one) > was + 20)); }
wait_for 20 more
ok "started again: HAProxy brings it mail"

touch "$work/enough"
wait "$load" || fail "a client failed"
sort -n "$work/sent" >"$work/sent.sorted"
total=$(wc -l <"$work/sent.sorted")
((total > 200)) || fail "$total mails are too few to say anything"
awk '$2 != 1' "$work/arrived" | grep . && fail "a mail has not one footer"
cut -d' ' -f1 "$work/arrived" | sort | uniq -c | awk '{ print $2, $1 }' | sort -n >"$work/counted"
# Lost: no line. Once more than wanted: only as often as an attempt ended without a reply.
awk 'NR == FNR { arrived[$1] = $2; next }
    !arrived[$1] { print "mail " $1 " is lost"; bad = 1 }
    arrived[$1] > 1 + $2 { print "mail " $1 " came " arrived[$1] " times; " $2 " attempts had no reply"; bad = 1 }
    { twice += arrived[$1] - 1; unknown += $2 }
    END { print twice + 0 " doubled, " unknown + 0 " attempts without a reply"; exit bad }' \
    "$work/counted" "$work/sent.sorted" >"$work/count.log" || fail "$(cat "$work/count.log")"
ok "$total mails, none lost, $(tail -n 1 "$work/count.log")"

! grep -h " status=.* client=" "$work/one.log" "$work/two.log" | grep -v "client=$client " || fail "a mail has another client"
ok "the log shows the client's address"
