"""Sends 10 000 mails while workers are killed and the configuration is loaded again; reads the numbers all the time with the parsers of
Prometheus' own library for both formats: none falls, and in the end their sums are those of the log.

metrics.py PORT_IN PORT_BACK URL MIMICRYD CONFIG PID_FILE LOG
"""

import collections
import os
import re
import signal
import smtplib
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_plain

PORT_IN, PORT_BACK, URL, MIMICRYD, CONFIG, PID_FILE, LOG = sys.argv[1:]
MAILS = 10_000
SENDERS = 4
OPEN = "application/openmetrics-text; version=1.0.0"
MAIL = "From: a@example.org\r\nTo: b@example.net\r\nSubject: s\r\nMessage-ID: <%d@example.org>\r\n\r\nText.\r\n"


class NextHop(socketserver.StreamRequestHandler):
    """Takes most mails, and refuses or defers some."""

    count = 0

    def handle(self):
        def say(text):
            self.wfile.write(text.encode() + b"\r\n")

        say("220 hop ESMTP")
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"EHLO":
                say("250-hop\r\n250-PIPELINING\r\n250 8BITMIME")
            elif verb == b"DATA":
                say("354 go on")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
                NextHop.count += 1
                say({0: "451 4.3.0 later", 1: "550 5.7.1 no"}.get(NextHop.count % 20, "250 2.0.0 ok"))
            elif verb == b"QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100

    def handle_error(self, request, client_address):
        """A worker that was killed is no fault of the next hop."""


def fetch(kind):
    request = urllib.request.Request(URL, headers={"Accept": kind})
    began = time.monotonic()
    with urllib.request.urlopen(request, timeout=5) as answer:
        text = answer.read().decode()
        expected = "application/openmetrics-text" if kind == OPEN else "text/plain"
        assert answer.headers.get_content_type() == expected, answer.headers
    took = time.monotonic() - began
    assert took < 1, f"a scrape took {took} s"
    return text


def counters(families):
    """Of both formats, by name and labels."""
    found = {}
    for family in families:
        assert family.documentation, family.name
        for sample in family.samples:
            if family.type == "counter" or (family.type == "histogram" and not sample.name.endswith("_created")):
                found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


scrapes = 0


def look(before):
    """The counters now; none is less than before."""
    global scrapes
    scrapes += 1
    now = counters(read_open(fetch(OPEN)) if scrapes % 2 else read_plain(fetch("text/plain")))
    for key, value in before.items():
        assert now.get(key, -1) >= value, f"{key} fell from {value} to {now.get(key)}"
    return now


left = iter(range(MAILS))
lock = threading.Lock()
replies = collections.Counter()


def send():
    client = None
    while True:
        with lock:
            number = next(left, None)
        if number is None:
            break
        for _ in range(20):
            try:
                if client is None:
                    client = smtplib.SMTP("127.0.0.1", int(PORT_IN), timeout=30)
                client.sendmail("a@example.org", ["b@example.net"], MAIL % number)
                outcome = "accepted"
            except smtplib.SMTPResponseException as error:
                if error.smtp_code == 421:
                    client = None
                    continue
                outcome = "deferred" if error.smtp_code < 500 else "refused"
            except smtplib.SMTPRecipientsRefused:
                continue
            except (OSError, smtplib.SMTPException):
                # Its worker was killed, or ended the session.
                client = None
                continue
            replies[outcome] += 1
            break
        else:
            sys.exit(f"mail {number} has no answer")


def master():
    with open(PID_FILE) as file:
        return int(file.read())


def workers():
    text = subprocess.run(["pgrep", "-P", str(master())], capture_output=True, text=True, check=False).stdout
    for pid in map(int, text.split()):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if file.read().startswith(b"mimicryd: worker"):
                    yield pid
        except OSError:
            pass


def main():
    server = Server(("127.0.0.1", int(PORT_BACK)), NextHop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threads = [threading.Thread(target=send) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    last, rounds, killed = look({}), 0, 0
    while any(thread.is_alive() for thread in threads):
        rounds += 1
        if rounds % 20 == 0:
            for pid in list(workers())[:1]:
                os.kill(pid, signal.SIGKILL)
                killed += 1
        if rounds % 100 == 50:
            subprocess.run([MIMICRYD, "reload", "-c", CONFIG], check=True, stdout=subprocess.DEVNULL)
        last = look(last)
        time.sleep(0.05)
    last = look(last)
    with open(LOG, encoding="utf-8") as file:
        lines = [line for line in file if " status=" in line]
    logged = collections.Counter(re.search(r" status=(\S+)", line)[1] for line in lines)
    edited = sum(":edited" in line for line in lines)

    def total(name, **labels):
        wanted = labels.items()
        return sum(v for (n, has), v in last.items() if n == name and all(label in has for label in wanted))

    print(f"{rounds} rounds, {scrapes} scrapes, {killed} workers killed, {dict(logged)}, {dict(replies)}")
    assert sum(replies.values()) == MAILS
    # A worker that was killed may have had the end of a mail between its count and its line.
    for outcome, status in (("accepted", "sent"), ("deferred", "deferred"), ("refused", "rejected")):
        counted = total("mimicry_mails_total", outcome=outcome)
        assert 0 <= counted - logged[status] <= killed, (outcome, counted, logged)
    assert 0 <= total("mimicry_replies_total") - len(lines) <= killed
    assert 0 <= total("mimicry_rule_mails_total", outcome="edited") - edited <= killed
    assert total("mimicry_judge_seconds_count") >= len(lines)
    deaths = total("mimicry_worker_deaths_total", signal="SIGKILL")
    assert killed - 2 <= deaths <= killed, (deaths, killed)
    assert total("mimicry_config_reloads_total", result="done") == sum(1 for n in range(1, rounds + 1) if n % 100 == 50)


main()
