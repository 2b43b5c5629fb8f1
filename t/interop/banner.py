"""HTML mail of outsiders who do not want the banner to be seen, as headless Chromium shows it after `banner`.

Each page is tried in two ways: with the banner as it is put in, which must be seen; and, so that the page is an attack indeed, with a
banner that has no style of its own and no frame, which must not be seen.

usage: banner.py INTEROP MIMICRYD WORK CHROMIUM
"""

import http.server
import json
import pathlib
import re
import subprocess
import sys
import threading

INTEROP, MIMICRYD, WORK, CHROMIUM = sys.argv[1:5]
WORK = pathlib.Path(WORK)
WORDS = "This mail came from outside"
PAGE = WORK / "banner.toml"

# The browser of render.py, whose main is not run here.
SOURCE = (pathlib.Path(INTEROP) / "render.py").read_text(encoding="utf-8")
RENDER = {"__name__": "render"}
ARGV, sys.argv = sys.argv, ["render.py", MIMICRYD, INTEROP, str(WORK), CHROMIUM]
exec(compile(SOURCE.rsplit("\nmain()", 1)[0], "render.py", "exec"), RENDER)
sys.argv = ARGV

EVIL = "<p class=own style='position:relative;visibility:visible'>Own words</p>"


def sheet(css):
    return f"<html><head><style>{css}</style></head><body>{EVIL}</body></html>"


# What hides the banner, and perhaps shows the mail's own words all the same.
PAGES = {
    "all-none": sheet("body > div, body > div * { display: none !important }"),
    "all-but-own": sheet("body *:not(.own) { display: none !important }"),
    "invisible": sheet("body * { visibility: hidden !important }"),
    "transparent": sheet("div { opacity: 0 !important }"),
    "small": sheet("body { font-size: 0 } div, div * { font-size: 0 !important }"),
    "white": sheet("div, div * { color: #fff !important; background: #fff !important; -webkit-text-fill-color: #fff !important }"),
    "no-height": sheet("div { height: 0 !important; max-height: 0 !important; overflow: hidden !important }"),
    "away": sheet("div { position: absolute !important; left: -9999px !important; top: -9999px !important }"),
    "fixed-away": sheet("div, div * { position: fixed !important; top: -900px !important }"),
    "clipped": sheet("div { clip-path: inset(100%) !important }"),
    "clipped-old": sheet("div { position: absolute !important; clip: rect(0 0 0 0) !important }"),
    "scaled": sheet("div { transform: scale(0) !important }"),
    "moved": sheet("div { translate: -2000px 0 !important }"),
    "indented": sheet("div, div * { text-indent: -9999px !important; white-space: nowrap; overflow: hidden !important }"),
    "margin": sheet("div { margin-top: -900px !important }"),
    "inner-margin": sheet("div p { margin-top: -900px !important }"),
    "filtered": sheet("div { filter: opacity(0) !important }"),
    "masked": sheet("div { mask: linear-gradient(transparent, transparent) !important }"),
    "replaced": sheet("div { content: url(data:image/png;base64,) !important }"),
    "unpainted": sheet("div { content-visibility: hidden !important }"),
    "starting": sheet("@starting-style { div { opacity: 0 } } div { transition: opacity 100000s !important }"),
    "animated": sheet("@keyframes a { from, to { opacity: 0 } } div { animation: a 1s infinite !important }"),
    "inner": sheet("div p { display: none !important }"),
    "by-class": sheet("[class^=k], [class*=mimicry] { display: none !important }"),
    "root-gone": "<html><head><style>html { opacity: 0 }</style></head><body>" + EVIL + "</body></html>",
    "body-gone": sheet("body { display: none }"),
    "body-attribute": f"<html><body style='opacity:0 !important'>{EVIL}</body></html>",
    "body-away": sheet("body { position: relative; top: -500px } .own { top: 500px }"),
    "body-margin": sheet("body { margin-top: -300px !important } .own { margin-top: 300px }"),
    "body-left": sheet("body { margin-left: -2000px } .own { left: 2000px }"),
    "body-hidden": f"<html><body hidden>{EVIL}</body></html>",
    "body-invisible": sheet("body { visibility: hidden }"),
    "body-flat": sheet("html, body { height: 0; overflow: hidden !important; position: absolute } .own { position: fixed !important }"),
    "body-clipped": sheet("body { clip-path: inset(400px 0 0 0); padding-bottom: 400px } .own { top: 400px }"),
    "body-moved": sheet("body { transform: translateY(-400px) } .own { top: 400px }"),
    "body-zoomed": sheet("body { zoom: 0.001 }"),
    "open-div": f"<div style='display:none'><html><body>{EVIL}",
    "late-body": f"{EVIL}<body style='display:none'>",
    "late-html": f"<body>{EVIL}<html style='opacity:0'>",
    "late-sheet": f"<html><body>{EVIL}<style>div {{ display: none !important }}</style></body></html>",
    "noscript-sheet": f"<html><head><noscript><style>div {{ display: none !important }}</style></noscript></head><body>{EVIL}</body></html>",
    "over-it": sheet(".own { position: absolute !important; top: 0; left: 0; width: 900px; height: 300px; background: #fff; z-index: 999999 }"),
}

CONFIG = """[[listen]]
name = "in"
address = "127.0.0.1:10025"
[relay]
next_hop = "smtp://127.0.0.1:10026"
[daemon]
spool = "%s/spool"
[[rule]]
name = "external"
plugin = "banner"
[rule.options]
text = "%s"
html = "<p>%s</p>"
preheader = false
"""


def mail(markup):
    return ("From: eve@example.net\r\nTo: anna@example.org\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/html; charset=utf-8\r\n\r\n" + markup + "\r\n").encode()


def marked(markup):
    done = subprocess.run([MIMICRYD, "filter", "-c", PAGE, "--from", "eve@example.net", "--to", "anna@example.org"],
                          input=mail(markup), capture_output=True, timeout=60, check=True)
    found = RENDER["pages"](done.stdout)
    assert len(found) == 1, done.stdout
    return found[0]


def bare(markup):
    """As a careless program would put it in."""
    block = f"<div class=\"k\"><p>{WORDS}</p></div>"
    place = re.search(r"<body[^>]*>", markup)
    at = place.end() if place else 0
    return ("text/html; charset=utf-8", (markup[:at] + block + markup[at:]).encode())


def is_seen(browser, page):
    """Why it is not; nothing if it is."""
    found = RENDER["look"](browser, page)
    ours = [text for text in found["texts"] if text["text"] == WORDS]
    if len(ours) != 1:
        return f"it is seen {len(ours)} times"
    ours = ours[0]
    if not (0 <= ours["left"] < ours["right"] <= 2000 and 0 <= ours["top"] < 200):
        return f"it is at {ours}"
    if ours["size"] < 9:
        return f"it is {ours['size']} px high"
    if ours["color"] == ours["behind"] or ours["behind"] == "none":
        return f"it is {ours['color']} on {ours['behind']}"
    painted = browser.evaluate(PAINTED % json.dumps(WORDS))
    return "" if painted is True else f"it is not painted: {painted}"


# Up to the root nothing may take it out of sight; and at its middle it is what is hit.
PAINTED = """
((words) => {
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    if (node.data.replace(/\\s+/g, " ").trim() !== words) continue;
    let opacity = 1;
    for (let element = node.parentElement; element; element = element.parentElement) {
      const style = getComputedStyle(element);
      opacity *= parseFloat(style.opacity);
      for (const [name, value] of [["filter", "none"], ["clipPath", "none"], ["maskImage", "none"], ["contentVisibility", "visible"]])
        if (style[name] !== value) return name + ": " + style[name];
      if (!["normal", "none"].includes(style.content)) return "content: " + style.content;
    }
    if (opacity < 0.9) return "opacity " + opacity;
    scrollTo(0, 0);
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getClientRects()[0];
    const found = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    return found === node.parentElement || (found ? "covered by " + found.tagName : "nothing is there");
  }
  return "no such text";
})(%s)
"""


def main():
    PAGE.write_text(CONFIG % (WORK, WORDS, WORDS), encoding="utf-8")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RENDER["Pages"])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = RENDER["Chromium"](server.server_address[1])
    failed = []
    try:
        for name, markup in PAGES.items():
            why = is_seen(browser, marked(markup))
            if why:
                failed.append(f"{name}: {why}")
            if not is_seen(browser, bare(markup)):
                failed.append(f"{name}: is no attack")
    finally:
        browser.close()
        server.shutdown()
    for what in failed:
        print(f"failed: {what[:400]}")
    if failed:
        sys.exit(1)
    print(f"ok: {len(PAGES)} pages that would hide a banner show ours")


main()
