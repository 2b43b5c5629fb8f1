"""HTML mail rendered by headless Chromium before and after `disclaim`: is the text seen, and where.

Every HTML text of the corpus that the rule edits, and some made here, is loaded over loopback with the Content-Type of its
part, with scripts off as in a mail program, and without any network. What is asserted is geometry: the box of our text, of
the mail's own texts and of the quoted ones, as Chromium lays them out.

usage: render.py MIMICRYD MAILS WORK CHROMIUM [SHEET.png]
"""

import base64
import email
import html
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

MIMICRYD, MAILS, WORK, CHROMIUM = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[4]
SHEET = sys.argv[5] if sys.argv[5:] else None
WORDS = "Example Ltd – 100 € Grüße 中文"
WIDTH, HEIGHT = 900, 1200


# --- the mails ---------------------------------------------------------------------------------------------------------

# Kinds that the corpus has not.
MADE = {
    "made-dark": (
        "utf-8",
        '<html><head><meta name="color-scheme" content="dark"><style>body { background: #101014; color: #e8e8e8 }'
        "</style></head><body><p>Own text on black</p></body></html>",
    ),
    "made-table-unclosed": (
        "iso-8859-1",
        "<html><body><table width=600><tr><td>First cell, Gr\xfc\xdfe<tr><td>Last cell</body></html>",
    ),
    "made-table-unclosed-no-body": ("windows-1252", "<table><tr><td>First cell<tr><td><b>Last cell, 100 \x80"),
    "made-tags-unclosed": ("us-ascii", "<body><div><p>One<ul><li>Two<li>Three<blockquote>Four</body>"),
    "made-latin1-meta-utf-8": (
        "iso-8859-1",
        '<html><head><meta charset="utf-8"></head><body><p>Gr\xfc\xdfe</p></body></html>',
    ),
    "made-entity-at-end": ("us-ascii", "<p>Tom &amp Anna, no. 1 &lt"),
    "made-form-and-select": (
        "utf-8",
        "<html><body><p>Choose</p><form><select><option>a<option>b</select><textarea>no </body> here</textarea></form></body></html>",
    ),
    "made-table-open": ("utf-8", "<html><body><table><tr><td>Last</td></tr></body></html>"),
    "made-table-open-inner": ("utf-8", "<html><body><table><tr><td><table><tr><td>Inner</td></tr></td></tr></table><p>Own</body></html>"),
    "made-table-open-columns": ("utf-8", "<table><colgroup><col></colgroup><tr><td>Own</td></tr>"),
    "made-select-open": ("utf-8", "<html><body><p>Own<select><option>a</body></html>"),
    "made-textarea-open": ("utf-8", "<html><body><p>Own<textarea>a</body></html>"),
    "made-iframe-open": ("utf-8", "<html><body><p>Own<iframe>a</body></html>"),
    "made-video-open": ("utf-8", "<html><body><p>Own<video>a</body></html>"),
    "made-object-open": ("utf-8", '<html><body><p>Own<object data="http://x.example/">a</body></html>'),
    "made-svg-open": ("utf-8", "<html><body><p>Own<svg><text>a</body></html>"),
    "made-template-open": ("utf-8", "<html><body><p>Own<template>a</body></html>"),
    "made-plaintext": ("utf-8", "<html><body><p>Own<plaintext>a</body></html>"),
    "made-xmp-open": ("utf-8", "<html><body><p>Own<xmp>a</body></html>"),
    "made-attribute-open": ("utf-8", '<html><body><p>Own<a title="x</body></html>'),
    "made-tag-open": ("utf-8", '<p>Own</p><div class="a'),
    "made-script-open": ("utf-8", "<p>Own</p><script>if (a</body>)"),
    "made-cdata-in-svg": ("utf-8", "<p>Own</p><svg><![CDATA[ </body> ]]></svg></body>"),
    "made-conditional": ("utf-8", "<html><body><p>Own</p><!--[if mso]></td></tr></table><![endif]--><![if !mso]><p>two</p><![endif]></body></html>"),
    "made-head-alone": ("utf-8", "<html><head><style>p { color: red }</style></head></html>"),
    "made-noscript": ("utf-8", "<html><body><p>Own</p><noscript><p>Seen without scripts</p></body></noscript></body></html>"),
}


# Where a text without style is not seen, or not below: the mail's own style does it. Which of them style of ours helps.
LIMITS = {
    "limit-float": (True, '<html><body><table align="left" width="300"><tr><td>Own</td></tr></table></body></html>'),
    "limit-black": (True, '<html><body bgcolor="#000000"><font color="#ffffff">Own</font></body></html>'),
    "limit-flex": (False, '<html><body style="display:flex"><div>Own<br>two</div></body></html>'),
    "limit-absolute": (False, '<html><body><div style="position:absolute;top:10px">Own<br>two<br>three</div></body></html>'),
    "limit-hidden-open": (False, '<html><body><p>Own<div style="display:none">hidden</body></html>'),
    "limit-style-sheet": (False, "<html><head><style>p:last-child { display: none }</style></head><body><p>Own</p></body></html>"),
}
# As mimicry-plugins(7) has it.
STYLE = "clear:both; color:#000; background:#fff"


def made_mail(charset, markup):
    head = ("From: anna@example.org\r\nTo: tom@example.net\r\nSubject: made\r\nMIME-Version: 1.0\r\n"
            f"Content-Type: text/html; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
    return head.encode() + markup.encode("latin-1") + b"\r\n"


# The first words of the mail that is answered, where below-reply must put ours above it.
QUOTES = {
    "gmail-alternative-reply-quote": "On Wed, Apr 24",
    "html-quoted-mail-several-programs": "On Wed wrote:",
    "outlook-alternative-reply-divider": "From:",
    "proton-html-quote": "On Wednesday, May 8",
    "reply-emclient-html": "------ Original Message",
    "yahoo-alternative-quoted": "On Friday, May 3",
}

# On the contact sheet.
SHOWN = {(name, "bottom") for name in (
    "apple-alternative-mixed-html", "charset-html-meta-disagrees", "demo-newsletter", "gmail-mixed-related-attachments",
    "html-body-in-comment", "html-body-in-conditional-comment", "html-no-body", "html-two-bodies", "made-dark",
    "made-latin1-meta-utf-8", "made-table-unclosed", "newsletter-57k-alternative", "newsletter-mso-related-images",
    "outlook-exchange-related-mixed", "outlook-html-embedded-mso-list",
)} | {(name, "below-reply") for name in QUOTES} | {("newsletter-57k-alternative", "top"), ("made-dark", "top")}


def config(place, name=None, style=""):
    (WORK / f"{name or place}.toml").write_text(
        '[[listen]]\nname = "in"\naddress = "127.0.0.1:10025"\n[relay]\nnext_hop = "smtp://127.0.0.1:10026"\n'
        '[[rule]]\nname = "footer"\nplugin = "disclaim"\nmatch = { bulk = [true, false] }\n'
        f'[rule.options]\ntext = "{WORDS}"\nhtml = "<p{style}>{WORDS}</p>"\nplace = "{place}"\n', encoding="utf-8")


def through(name, raw):
    done = subprocess.run([MIMICRYD, "filter", "-c", WORK / f"{name}.toml", "--from", "anna@example.org", "--to", "tom@example.net"],
                          input=raw, capture_output=True, timeout=60, check=True)
    return done.stdout


def pages(raw):
    """The HTML leaves: Content-Type as the mail says, octets."""
    return [(" ".join(str(part["content-type"]).split()), part.get_payload(decode=True))
            for part in email.message_from_bytes(raw).walk() if part.get_content_type() == "text/html"]


# --- Chromium ----------------------------------------------------------------------------------------------------------


class Pages(http.server.BaseHTTPRequestHandler):
    """One page at a time: the octets, under the Content-Type of the mail."""

    served = {}

    def do_GET(self):
        found = self.served.get(self.path)
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", found[0] if found else "text/plain")
        self.end_headers()
        self.wfile.write(found[1] if found else b"")

    def log_message(self, *_):
        pass


class Chromium:
    """Headless, spoken to by the DevTools protocol through a pipe."""

    def __init__(self, port):
        self.port, self.count, self.rest = port, 0, b""
        command_out, command_in = os.pipe()
        answer_out, answer_in = os.pipe()
        # The child finds the pipes as descriptors 3 and 4.
        shell = f'exec "$0" "$@" 3<&{command_out} 4>&{answer_in}'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             "--no-first-run", "--disable-extensions", "--disable-sync", "--disable-background-networking", "--disable-component-update",
             "--disable-default-apps", "--mute-audio", "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
             f"--user-data-dir={WORK / 'profile'}", "--remote-debugging-pipe", "about:blank"],
            pass_fds=(command_out, answer_in), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=open(WORK / "chromium.err", "wb"))
        os.close(command_out)
        os.close(answer_in)
        self.commands, self.answers = command_in, answer_out
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Emulation.setScriptExecutionDisabled", value=True)
        self.call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT, deviceScaleFactor=1, mobile=False)

    def read(self):
        while b"\0" not in self.rest:
            got = os.read(self.answers, 1 << 20)
            if not got:
                raise AssertionError("Chromium went away: " + (WORK / "chromium.err").read_text(errors="replace")[-1000:])
            self.rest += got
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def call(self, method, **params):
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]
            self.event = answer

    def load(self, content_type, octets):
        path = f"/{self.count}.html"
        Pages.served = {path: (content_type, octets)}
        # Answered when the document is committed; then its load event, which cannot have come before.
        self.call("Page.navigate", url=f"http://127.0.0.1:{self.port}{path}")
        while self.evaluate("document.readyState") != "complete" or not self.evaluate("location.href").endswith(path):
            pass

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def shot(self, name, middle):
        """The page around that height."""
        clip = {"x": 0, "y": max(0, middle - 500), "width": WIDTH, "height": 640, "scale": 0.7}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        (WORK / name).write_bytes(base64.b64decode(shot["data"]))

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


# All texts that are seen, in document order, with their boxes; nothing is added to the document.
LOOK = """
(() => {
  const texts = [];
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const text = node.data.replace(/\\s+/g, " ").trim();
    const element = node.parentElement;
    if (!text || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.width * box.height === 0) continue;
    const style = getComputedStyle(element);
    let behind = element;
    while (behind && ["rgba(0, 0, 0, 0)", "transparent"].includes(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
    texts.push({
      text, left: box.left + scrollX, right: box.right + scrollX, top: box.top + scrollY, bottom: box.bottom + scrollY,
      color: style.color, size: parseFloat(style.fontSize), behind: behind ? getComputedStyle(behind).backgroundColor : "none",
    });
  }
  return { texts, width: document.documentElement.scrollWidth, charset: document.characterSet, mode: document.compatMode };
})()
"""

# What stands at the middle of a box: is it the text, or is that covered.
AT = """
((words) => {
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    if (node.data.replace(/\\s+/g, " ").trim() !== words) continue;
    node.parentElement.scrollIntoView({ block: "center", behavior: "instant" });
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getClientRects()[0];
    const found = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    return found === node.parentElement || (found ? found.tagName : "nothing");
  }
  return "no such text";
})(%s)
"""


# --- the checks --------------------------------------------------------------------------------------------------------


def must(truth, what):
    if not truth:
        raise AssertionError(what)


def look(browser, page):
    browser.load(*page)
    return browser.evaluate(LOOK)


def check(browser, name, place, before, new):
    """One HTML text, of which `before` was seen, after the edit."""
    after = look(browser, new)
    texts = after["texts"]
    ours = [index for index, seen in enumerate(texts) if seen["text"] == WORDS]
    must(len(ours) == 1, f"ours is seen {len(ours)} times: {[seen['text'] for seen in texts][-4:]}")
    own = texts[:ours[0]] + texts[ours[0] + 1:]
    was = [seen["text"] for seen in before["texts"]]
    must([seen["text"] for seen in own] == was, f"the own words changed: {was[-3:]} {[seen['text'] for seen in own][-3:]}")
    must(before["mode"] == after["mode"], "standards and quirks mode changed")
    mine = texts[ours[0]]
    if SHEET and (name, place) in SHOWN:
        browser.shot(f"{name}.{place}.png", mine["top"])
    must(mine["right"] > mine["left"] and mine["bottom"] > mine["top"], "ours has no size")
    must(mine["left"] >= 0 and mine["right"] <= max(WIDTH, before["width"]) and mine["top"] >= 0, f"ours is outside the document: {mine}")
    must(mine["size"] >= 7, f"ours is {mine['size']} px high")
    must(mine["color"] != mine["behind"] and not (mine["behind"] == "none" and mine["color"] == "rgb(255, 255, 255)"), f"ours is {mine['color']} on {mine['behind']}")
    covered = browser.evaluate(AT % json.dumps(WORDS))
    must(covered is True, f"ours is covered by {covered}")
    quoted = len(own)
    if place == "below-reply" and name in QUOTES:
        quoted = next((index for index, seen in enumerate(own) if seen["text"].startswith(QUOTES[name])), None)
        must(quoted is not None, f"{QUOTES[name]!r} is not seen")
    if place == "top":
        above, below = [], own
    else:
        above, below = own[:quoted], own[quoted:]
    for seen in above:
        must(mine["top"] >= seen["bottom"] - 1, f"ours is not below {seen['text'][:40]!r}: {mine['top']} and {seen['bottom']}")
    for seen in below:
        must(mine["bottom"] <= seen["top"] + 1, f"ours is not above {seen['text'][:40]!r}: {mine['bottom']} and {seen['top']}")
    if place == "bottom":
        moved = [a["text"] for a, b in zip(own, before["texts"]) if abs(a["top"] - b["top"]) > 1 or abs(a["left"] - b["left"]) > 1]
        must(not moved, f"own texts moved: {moved[:3]}")


def check_the_checks(browser):
    """What is wrong here is found."""
    old = look(browser, ("text/html; charset=utf-8", b"<body><p>Own</p><p>On Wed, Apr 24</p></body>"))
    for place, body in (
        ("bottom", "<p>Own</p><p>On Wed, Apr 24</p><p style='display:none'>{}</p>"),
        ("bottom", "<p>Own</p><p>On Wed, Apr 24</p><p style='visibility:hidden'>{}</p>"),
        ("bottom", "<p>Own</p><p>On Wed, Apr 24</p><p style='opacity:0'>{}</p>"),
        ("bottom", "<p>Own</p><p>On Wed, Apr 24</p><p style='position:absolute;left:-900px'>{}</p>"),
        ("bottom", "<p>Own</p><p>On Wed, Apr 24</p><p style='font-size:1px'>{}</p>"),
        ("bottom", "<p>Own</p><p>On Wed, Apr 24</p><p style='color:white;background:white'>{}</p>"),
        ("bottom", "<p>Own</p><p>On Wed, Apr 24</p><div style='height:0;overflow:hidden'><p>{}</p></div>"),
        ("bottom", "<p>Own</p><p>On Wed, Apr 24</p><p>{}</p><div style='position:fixed;inset:0;background:red'></div>"),
        ("bottom", "<p>Own</p><p>On Wed, Apr 24</p><!-- <p>{}</p> -->"),
        ("bottom", "<p>Own</p><p>On Wed, Apr 24</p><p>{}</p><p>{}</p>"),
        ("bottom", "<p>Own</p><p>{}</p><p>On Wed, Apr 24</p>"),
        ("bottom", "<p>{}</p><p>Own</p><p>On Wed, Apr 24</p>"),
        ("bottom", "<p>Own</p><p>{}</p>"),
        ("bottom", "<p style='margin-top:60px'>Own</p><p>On Wed, Apr 24</p><p>{}</p>"),
        ("below-reply", "<p>Own</p><p>On Wed, Apr 24</p><p>{}</p>"),
        ("below-reply", "<p>{}</p><p>Own</p><p>On Wed, Apr 24</p>"),
        ("top", "<p>Own</p><p>On Wed, Apr 24</p><p>{}</p>"),
    ):
        page = ("text/html; charset=utf-8", f"<body>{body.replace('{}', WORDS)}</body>".encode())
        try:
            check(browser, "gmail-alternative-reply-quote", place, old, page)
        except AssertionError:
            continue
        raise AssertionError(f"not found: {place}, {body}")


def check_limits(browser):
    """What the manual says of style holds: it helps where it says so, and is needed there."""
    must(STYLE in (MAILS.parents[1] / "man" / "mimicry-plugins.7").read_text(encoding="utf-8"), "the manual names another style")
    for name, (helps, markup) in LIMITS.items():
        raw = made_mail("utf-8", markup)
        before = look(browser, pages(raw)[0])
        for config_name, holds in (("bottom", False), ("styled", helps)):
            try:
                check(browser, name, "bottom", before, pages(through(config_name, raw))[0])
            except AssertionError as error:
                must(not holds, f"{name}, {config_name}: {error}")
            else:
                must(holds, f"{name}, {config_name}: this limit is gone")


def sheet(browser):
    """All pictures on one page."""
    cells = "".join(f'<figure style="display:inline-block;vertical-align:top;margin:4px;width:400px;border:1px solid #888">'
                    f'<figcaption style="font:11px sans-serif">{html.escape(path.stem)}</figcaption>'
                    f'<img style="width:400px" src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"></figure>'
                    for path in sorted(WORK.glob("*.png")))
    browser.call("Emulation.setDeviceMetricsOverride", width=1260, height=1600, deviceScaleFactor=1, mobile=False)
    browser.load("text/html; charset=utf-8", f"<!doctype html><body>{cells}".encode())
    shot = browser.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
    pathlib.Path(SHEET).write_bytes(base64.b64decode(shot["data"]))


def main():
    places = ("bottom", "top", "below-reply")
    for place in places:
        config(place)
    config("bottom", "styled", f" style='{STYLE}'")
    mails = {path.stem: path.read_bytes() for path in sorted(MAILS.glob("*.eml"))} | {name: made_mail(*it) for name, it in MADE.items()}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = Chromium(server.server_address[1])
    failed, seen, edited = [], 0, set()
    try:
        check_the_checks(browser)
        check_limits(browser)
        for name, raw in mails.items():
            old = pages(raw)
            before = [None] * len(old)
            for place in places if old else ():
                new = pages(through(place, raw))
                if len(new) != len(old):
                    continue
                for index, (one, other) in enumerate(zip(old, new)):
                    if one == other:
                        continue
                    before[index] = before[index] or look(browser, one)
                    edited.add(name)
                    seen += 1
                    try:
                        check(browser, name, place, before[index], other)
                    except AssertionError as error:
                        failed.append(f"{name}, {place}: {error}")
        if SHEET:
            sheet(browser)
    finally:
        browser.close()
        server.shutdown()
    for what in failed:
        print(f"failed: {what[:400]}")
    missing = {*MADE, *QUOTES} - edited
    must(not missing, f"not edited: {missing}")
    if failed:
        sys.exit(1)
    print(f"ok: {len(edited)} mails, {seen} pages as Chromium shows them")


main()
