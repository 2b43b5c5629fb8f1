"""HTML mail of outsiders who do not want the banner to be seen, as headless Chromium shows it after `banner`.

Each page is tried in these ways: with the banner as it is put in, alone and within what Thunderbird puts around a page, where the
banner must be the very picture that it is in a page without tricks, at the start of the window; and, so that the page is an
attack indeed, with a banner that has no style of its own and no frame, which must be another picture, or elsewhere.

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


def sheet(css, body=EVIL):
    return f"<html><head><style>{css}</style></head><body>{body}</body></html>"


def first(css):
    """In a layer, which goes before all that is in none."""
    return sheet("@layer evil { " + css + " }")


def cover(position):
    return (f"<div style='position:{position}!important;top:0;left:0;width:900px;height:900px;background:#fff;"
            "z-index:2147483647!important'>x</div>" + EVIL)


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
    # Generated boxes, first lines and first letters: of ours, of the page, of what a program puts around it.
    "first-line": sheet("*::first-line { font-size: 1px !important; line-height: 1px !important; color: #fff !important; background: #fff !important }"),
    "first-line-page": first("html::first-line, body::first-line, body > div::first-line { font-size: 1px !important; color: #fff !important }"),
    "first-letter": first("*::first-letter { font-size: 900px !important; margin-top: -900px !important; color: #fff !important }"),
    "before": sheet("body::before { content: ''; display: block; height: 3000px } .own { margin-top: -3000px }"),
    "before-root": first("html::before, div::before { content: '' !important; display: block !important; height: 3000px !important }"),
    "before-class": sheet("div[class]::before { content: ''; display: block; height: 3000px }"),
    "before-words": first("*::before, *::after { content: 'Verified: ' !important; font-size: 20px !important; display: inline !important }"),
    "before-named": sheet("*:not(#a#b#c#d#e#f#g#h)::before { content: 'Verified: ' !important; display: block !important; height: 900px }"),
    "after-over": first("html::after, body::after { content: ''; display: block !important; position: fixed !important; inset: 0; background: #fff !important; z-index: 2147483647 !important }"),
    "marker": first("*{ display: list-item !important } *::marker { content: 'Verified'; font-size: 90px !important }"),
    "scroll-button": first("html::scroll-button(*) { content: 'x'; position: fixed; inset: 0; background: #fff; z-index: 2147483647; width: 900px; height: 900px } html { overflow: scroll !important } .own { height: 9000px }"),
    # The page is moved, or ours pushed out of it.
    "border": sheet("body { border-top: 3000px solid #fff !important } .own { margin-top: -3100px }"),
    "border-left": first("body { border-left: 5000px solid #fff !important; width: 100px !important }"),
    "padding": first("html, body, body > div { padding: 900px !important; margin: 900px !important }"),
    "logical": first("html, body { padding-block-start: 900px !important; margin-block-start: 900px !important; border-block-start: 900px solid !important }"),
    "aligned": first("html, body { min-height: 5000px !important; align-content: end !important }"),
    "grid": first("html, body { min-height: 5000px !important; display: grid !important; place-content: end !important }"),
    "outline": first("html, body, div { outline: 900px solid #fff !important; outline-offset: -900px !important }"),
    "transformed": first("html, body { rotate: 90deg !important; scale: .01 !important; translate: -9999px !important; zoom: .01 !important; writing-mode: vertical-rl !important }"),
    "page-masked": first("html, body { mask: linear-gradient(#0000, #0000) !important; contain: size !important; overflow: clip !important; content: '' !important }"),
    "page-filtered": first("html, body { filter: invert(1) opacity(.1) !important; mix-blend-mode: difference !important }"),
    "columns": first("html, body { columns: 9 !important; column-width: 1px !important }"),
    "clamped": first("html, body { display: -webkit-box !important; -webkit-line-clamp: 1 !important; -webkit-box-orient: vertical !important; height: 1px !important; overflow: hidden !important }"),
    "head-shown": first("head { display: block !important; height: 3000px !important }"),
    "head-styled": f"<html><head style='display:block!important;height:3000px!important'><title>x</title></head><body>{EVIL}",
    "popover": f"<html popover><body popover>{EVIL}",
    "body-topmargin": f"<body topmargin=900>{EVIL}",
    "right-to-left-body": first("html, body { direction: rtl !important } html { width: 9000px !important } body { width: 90px !important }"),
    "right-to-left-wide": first("body { width: 9000px !important; direction: rtl !important; clip-path: inset(0 0 0 9000px) !important }"),
    "struck-out": first("html, body, body > div { text-decoration: line-through 30px #fff !important; text-decoration-skip-ink: none !important }"),
    "letters-turned": first("* { unicode-bidi: bidi-override !important; direction: rtl !important }"),
    "letters-dressed": first("* { -webkit-text-security: disc !important; text-transform: uppercase !important; word-spacing: 900px !important; -webkit-text-stroke: 20px #fff !important }"),
    "text-box": first("div, p { text-box: trim-both cap alphabetic !important; initial-letter: 9 !important; align-content: end !important; min-height: 900px !important }"),
    # At-rules.
    "layer": first("@layer b { body * { display: none !important } } body { opacity: 0 !important }"),
    "scope": sheet("@scope (html) { :scope::before { content: ''; display: block; height: 900px } }"),
    "container": sheet("html { container-type: inline-size } @container (min-width: 1px) { body::before { content: ''; display: block; height: 900px } }"),
    "has": sheet(":root:has(p) body::before { content: ''; display: block; height: 900px }"),
    "animated-page": first("@keyframes a { from, to { opacity: 0; transform: translateX(-900px) } } *, *::before { animation: a 1s infinite !important }"),
    # Elements of the mail over ours, with the highest z-index.
    "cover-fixed": sheet("", cover("fixed")),
    "cover-absolute": sheet("", cover("absolute")),
    "cover-inline": f"<body><div style='position:absolute;top:0;left:0;width:900px;height:900px;background:#fff;Z-\\49ndex:2147483647'>x</div>{EVIL}",
    "cover-dialog": sheet("", f"<dialog open>{cover('fixed')}</dialog>"),
    "cover-margin": sheet(".own { z-index: 2147483647; background: #fff; margin-top: -300px; padding-bottom: 400px }"),
    "cover-svg": f"<body>{EVIL}<svg width=900 height=900 style='position:fixed;top:0;left:0;z-index:2147483647'><rect width=900 height=900 fill=white /></svg>",
    "cover-animated": sheet("@keyframes z { from, to { z-index: 2147483647 } } .over { animation: z 1s infinite; position: fixed; top: 0; left: 0; width: 900px; height: 900px; background: #fff }", f"{EVIL}<div class=over>x</div>"),
    "imported": sheet("@import url(\"data:text/css,body::before{content:'';display:block;height:900px}\") layer(a);"),
    "linked": f"<link rel=stylesheet href=\"data:text/css,body::before{{content:'';display:block;height:900px}}\">{EVIL}",
    "style-in-svg": f"<svg><style>@layer {{ *::before {{ content: 'x' !important; display: block !important; height: 900px }} }}</style></svg>{EVIL}",
    # A shadow root of the body shows what it likes.
    "shadow": f"<html><body><template shadowrootmode=open>evil</template>{EVIL}",
    "shadow-host": f"<html><body><template shadowrootmode=open><style>:host {{ display: none !important }}</style><slot></slot></template>{EVIL}",
    # The window is taken elsewhere.
    "scroll-target": f"<body><div style='height:3000px'></div><p style='scroll-initial-target:nearest!important'>x</p><div style='height:3000px'></div>{EVIL}",
    "scroll-snap": first("html { scroll-snap-type: y mandatory !important } .own { scroll-snap-align: start; margin: 3000px 0 }"),
    "focus": f"<body><div style='height:3000px'></div><input autofocus><div style='height:3000px'></div>{EVIL}",
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


def is_dressed(page):
    return b"@layer{" in page[1]


def within(page):
    """As Thunderbird shows it."""
    content_type, octets = page
    return (content_type, b'<html><head></head><body><div class="moz-text-html" lang="x-unicode">' + octets + b"</div></body></html>")


# The box of the words, and how far the window was taken.
BOX = """
((words) => {
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    if (node.data.replace(/\\s+/g, " ").trim() !== words) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    return { left: box.left, top: box.top, width: box.width, height: box.height, x: scrollX, y: scrollY };
  }
})(%s)
"""


LEFT_END = """
(() => {
  const [x, y] = [scrollX, scrollY];
  scrollTo({ left: -1e6, top: y, behavior: "instant" });
  const left = scrollX;
  scrollTo({ left: x, top: y, behavior: "instant" });
  return left;
})()
"""


def picture(browser):
    """Of the words in the page that is loaded, where they stand."""
    box = browser.evaluate(BOX % json.dumps(WORDS))
    if not box or box["width"] * box["height"] == 0:
        return box, None
    # Pictures count from the left end of a page, which is left of the window where the page grows to the left.
    left = browser.evaluate(LEFT_END)
    # A box need not be a whole number of pixels wide.
    clip = {"x": box["left"] + box["x"] - left, "y": box["top"] + box["y"], "width": int(box["width"]), "height": int(box["height"]), "scale": 1}
    return box, browser.call("Page.captureScreenshot", format="png", clip=clip)["data"]


def is_seen(browser, page, clean):
    """Why it is not; nothing if it is, as in a page without tricks."""
    found = RENDER["look"](browser, page)
    box, shot = picture(browser)
    if not box or not (0 <= box["left"] < 720 and 0 <= box["top"] < 100):
        return f"it is at {box}"
    if shot != clean:
        return "it is another picture"
    ours = [text for text in found["texts"] if text["text"] == WORDS]
    if len(ours) != 1:
        return f"it is seen {len(ours)} times"
    if ours[0]["size"] < 9:
        return f"it is {ours[0]['size']} px high"
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
        # In a page with style of its own it stands beside a style sheet of ours, and the letters fall upon other fractions.
        clean = {}
        for plain in (sheet("p { color: #000 }"), f"<body>{EVIL}"):
            page = marked(plain)
            RENDER["look"](browser, page)
            _, clean[is_dressed(page)] = picture(browser)
        RENDER["look"](browser, bare(plain))
        _, undressed = picture(browser)
        for name, markup in PAGES.items():
            page = marked(markup)
            for how, one in (("alone", page), ("within", within(page))):
                why = is_seen(browser, one, clean[is_dressed(page)])
                if why:
                    failed.append(f"{name}, {how}: {why}")
            if not is_seen(browser, bare(markup), undressed):
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
