"""An independent reader beside mimicry: Python's email package and html.parser read every mail of the corpus before and
after `disclaim`, with many sets of options.

Where the text must go is worked out here from the manual alone. Then the result must hold it there, as often as intended
and with every character right; every other leaf must be found octet for octet; what the new header says of charset and
coding must be true; and no line or octet may have come in that the mail may not have.

Over 600 lines, because the sets of options and the list of what Python reads otherwise are data beside their checks.

usage: reader.py MIMICRYD MAILS WORK [MAIL...]
"""

import base64
import email
import html
import multiprocessing
import pathlib
import quopri
import re
import struct
import subprocess
import sys
import zlib
from email import policy
from html.parser import HTMLParser

MIMICRYD, MAILS, WORK = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
SENDER, RECIPIENT = "anna@example.org", "tom@example.net"
NAME, COMPANY = "words", "Äpfel & <Söhne> GmbH"

PLAIN_TEXT = "Example Ltd, registered in Exampleland, no. 123456\n\nFrom here on: https://example.org/?a=b&c=d\n.\n> not a quote"
PLAIN_HTML = '<p>Example Ltd, registered in Exampleland, no. 123456</p><p><a href="https://example.org/?a=b&amp;c=d">From here on</a></p>'
WIDE_TEXT = "Grüße, Łódź & Ünïcode – 100 €\n中文 日本語 한국어 עברית\n😀 👨‍👩‍👧 e\u0301 end"
WIDE_HTML = "<p>Grüße, Łódź &amp; Ünïcode – 100 €<br>中文 日本語 한국어 עברית</p><p>😀 👨‍👩‍👧 é end</p>"
LONG_TEXT = "Diese Zeile ist lang genug, um in einem fließenden Text an mehreren Stellen umbrochen zu werden: " + "Wörter, " * 30 + "Ende."
LATIN_TEXT, LATIN_HTML = "Mit freundlichen Grüßen, Øre & Søn", "<p>Mit freundlichen Grüßen, Øre &amp; Søn</p>"


def png(width=120, height=40):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes([200, 30, 30]) * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PICTURE = png()


# --- the sets of options -----------------------------------------------------------------------------------------------


class Set:
    """One configuration of one rule."""

    def __init__(self, name, text, html_text, options=None, rule="", bulk=True, twice=None, variables=False):
        self.name, self.text, self.html = name, text, html_text
        self.options = options or {}
        self.rule, self.bulk, self.twice, self.variables = rule, bulk, twice, variables
        self.place = self.options.get("place", "bottom")
        self.parts = self.options.get("parts", "body")
        self.fallback = self.options.get("fallback", ["attach"])
        # A text that must be in every mail, or the mail does not leave.
        self.required = "reject" in self.fallback
        self.separator = self.options.get("separator", "")
        self.images = "images" in self.options
        self.wrap = "wrap" in rule
        self.config = WORK / f"{name}.toml"

    def write(self):
        def value(it):
            if isinstance(it, list):
                return "[" + ", ".join(map(value, it)) + "]"
            return '"' + "".join(c if c >= " " and c not in '"\\' else f"\\u{ord(c):04x}" for c in it) + '"'

        options = dict(self.options)
        if self.text is not None:
            options["text"] = self.text
        if self.html is not None:
            options["html"] = self.html
        lines = [
            "[[listen]]", 'name = "in"', 'address = "127.0.0.1:10025"',
            "[relay]", 'next_hop = "smtp://127.0.0.1:10026"',
            "[variables]", f"company = {value(COMPANY)}",
            "[[rule]]", f'name = "{NAME}"', 'plugin = "disclaim"', self.rule,
            "match = { bulk = [true, false] }" if self.bulk else "",
            "[rule.options]", *(f"{key} = {value(it)}" for key, it in options.items()),
        ]
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def words(self, subject):
        """Ours for one mail: the text, and what a reader sees of the HTML."""
        text, html_text = self.text, self.html
        if self.variables:
            def fill(template, escape):
                lines = [line for line in template.split("\n") if "header.x_absent }}" not in line]
                values = {"var.company": COMPANY, "sender.address": SENDER, "recipients[0].address": RECIPIENT,
                          'subject | default("no subject")': subject or "no subject",
                          'header.x_absent | default("–")': "–"}
                for name, what in values.items():
                    lines = [line.replace("{{ " + name + " }}", escape(what)) for line in lines]
                return "\n".join(lines)

            text, html_text = fill(text, str), fill(html_text, html.escape)
        seen = visible(html_text) if html_text is not None else " ".join(text.split())
        if text is None:
            text = TEXT_OF_HTML
        return text, seen


TEXT_OF_HTML = "Grüße, Łódź & Ünïcode – 100 €\n中文 日本語 한국어 עברית\n\n😀 👨‍👩‍👧 é end"
TEMPLATE_TEXT = '{{ var.company }} – {{ sender.address }}\nto {{ recipients[0].address }}\ndropped {{ header.x_absent }}\n[{{ subject | default("no subject") }}] {{ header.x_absent | default("–") }}'
TEMPLATE_HTML = '<p title="{{ var.company }}">{{ var.company }} – {{ sender.address }}</p>\n<p>dropped {{ header.x_absent }}</p>\n<p>[{{ subject | default("no subject") }}] {{ header.x_absent | default("–") }}</p>'
PICTURE_HTML = '<p>Grüße <img src="cid:logo.png" alt="logo" width="120" height="40"> Ende</p>'

SETS = [
    Set("ascii", PLAIN_TEXT, PLAIN_HTML),
    Set("wide", WIDE_TEXT, WIDE_HTML, twice="double"),
    Set("latin", LATIN_TEXT, LATIN_HTML),
    Set("long", LONG_TEXT, WIDE_HTML),
    Set("exempt", PLAIN_TEXT, PLAIN_HTML, bulk=False),
    Set("top", WIDE_TEXT, WIDE_HTML, {"place": "top"}),
    Set("top-ascii", PLAIN_TEXT, PLAIN_HTML, {"place": "top", "separator": "* * *"}),
    Set("separator", WIDE_TEXT, WIDE_HTML, {"separator": "————————"}),
    Set("signature", LATIN_TEXT, LATIN_HTML, {"separator": "-- "}),
    Set("reply", WIDE_TEXT, WIDE_HTML, {"place": "below-reply"}),
    Set("reply-ascii", PLAIN_TEXT, PLAIN_HTML, {"place": "below-reply", "separator": "----"}),
    Set("per-mail", WIDE_TEXT, WIDE_HTML, {"once": "per-mail"}, twice="same"),
    Set("per-thread", LATIN_TEXT, LATIN_HTML, {"once": "per-thread"}, twice="same"),
    Set("first", WIDE_TEXT, WIDE_HTML, {"parts": "first"}),
    Set("all", WIDE_TEXT, WIDE_HTML, {"parts": "all"}),
    Set("skip", WIDE_TEXT, WIDE_HTML, {"fallback": ["skip"]}),
    Set("reject", WIDE_TEXT, WIDE_HTML, {"fallback": ["reject"]}),
    Set("wrap", WIDE_TEXT, WIDE_HTML, rule='on_sealed = "wrap"'),
    Set("wrap-top", PLAIN_TEXT, PLAIN_HTML, {"place": "top"}, rule='on_sealed = "wrap"'),
    Set("images", WIDE_TEXT, PICTURE_HTML, {"images": ["logo.png"]}),
    Set("text-only", WIDE_TEXT, None),
    Set("html-only", None, WIDE_HTML),
    Set("variables", TEMPLATE_TEXT, TEMPLATE_HTML, rule="show_bcc = true", variables=True),
]


# --- what Python reads -------------------------------------------------------------------------------------------------


# Labels that Python has no codec for, or one that mail programs do not read so.
CODECS = {
    "iso-8859-1": ("cp1252", "latin-1"),
    "iso-8859-8-i": ("iso-8859-8",),
}


class Leaf:
    """A leaf of the tree as Python parses it; message/* is one leaf, whatever is in it."""

    def __init__(self, part, ancestors):
        self.part, self.ancestors = part, ancestors
        self.type = part.get_content_type()
        fields = [(name.lower(), value) for name, value in part._headers]
        self.fields = [field for field in fields if field[0].startswith("content-")]
        self.content = content_of(part)
        self.disposition = part.get_content_disposition() or None
        # As the default policy unfolds it; of comments (RFC 2045 section 6.1) Python does not know.
        self.cte = re.sub(r"\(.*?\)", "", str(part.get("content-transfer-encoding", ""))).strip().lower()
        self.is_sealed = self.seal()

    def same(self, other):
        return self.fields == other.fields and self.content == other.content

    def filename(self):
        return self.part.get_filename() is not None

    def octets(self):
        return self.content.encode("ascii", "surrogateescape") if isinstance(self.content, str) else b""

    def pieces(self):
        return list(flat(self.content))

    def seal(self):
        if any(above.get_content_type() in ("multipart/signed", "multipart/encrypted") for above in self.ancestors):
            return True
        if self.type in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
            return True
        if str(self.part.get_filename()).lower().endswith(".p7m"):
            return True
        if self.part.get_content_maintype() != "text":
            return False
        raw = self.part.get_payload(decode=True) or b""
        return any(mark in raw for mark in (b"-----BEGIN PGP SIGNED MESSAGE-----", b"-----BEGIN PGP MESSAGE-----"))

    def text(self):
        """The text, or None if what the header says of it is not true."""
        charset = self.part.get_param("charset")
        if isinstance(charset, tuple):
            charset = charset[2]
        raw = self.octets()
        if self.cte == "base64":
            try:
                raw = base64.b64decode(b"".join(raw.split()), validate=True)
            except ValueError:
                return None
        elif self.cte == "quoted-printable":
            if re.search(rb"=(?![0-9A-Fa-f]{2}|[ \t]*\r?\n|[ \t]*$)", raw):
                return None
            raw = quopri.decodestring(raw)
        elif self.cte not in ("", "7bit", "8bit", "binary"):
            return None
        for name in CODECS.get(str(charset).lower(), (charset or "us-ascii",)):
            try:
                return raw.decode(name, "strict")
            except (UnicodeDecodeError, LookupError):
                continue
        return None


def content_of(part):
    payload = part._payload  # get_payload() decodes 8-bit octets
    if isinstance(payload, list):
        return tuple((tuple(map(tuple, child._headers)), child.preamble, content_of(child), child.epilogue) for child in payload)
    return payload if payload is not None else ""


def flat(content):
    """The texts below a leaf, in order: one, or those of a message in it."""
    if isinstance(content, str):
        yield content.encode("ascii", "surrogateescape")
        return
    for _, _, below, _ in content:
        yield from flat(below)


def leaves_of(part, ancestors=()):
    if part.is_multipart() and part.get_content_maintype() == "multipart":
        for child in part.get_payload():
            yield from leaves_of(child, (*ancestors, part))
    else:
        yield Leaf(part, ancestors)


class Seen(HTMLParser):
    """The text of HTML that a reader sees."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.hidden, self.out = 0, []

    def handle_starttag(self, tag, attributes):
        if tag in ("script", "style", "title"):
            self.hidden += 1
        elif tag == "img":
            self.out.append(" [" + (dict(attributes).get("alt") or "") + "] ")
        elif tag not in ("b", "i", "a", "span", "font", "em", "strong", "u"):
            self.out.append(" ")

    def handle_endtag(self, tag):
        if tag in ("script", "style", "title"):
            self.hidden = max(0, self.hidden - 1)
        elif tag not in ("b", "i", "a", "span", "font", "em", "strong", "u"):
            self.out.append(" ")

    def handle_data(self, data):
        if not self.hidden:
            self.out.append(data)


def visible(markup):
    seen = Seen()
    seen.feed(markup.removeprefix("\ufeff"))
    seen.close()
    return " ".join("".join(seen.out).split())


class Before:
    """The mail as it came."""

    def __init__(self, raw):
        self.raw = raw
        self.override = None
        self.message = email.message_from_bytes(raw)
        self.leaves = list(leaves_of(self.message))
        self.lines = set(raw.split(b"\n"))
        self.has_crlf = b"\r\n" in raw
        self.bodies = self.find_bodies()
        modern = email.message_from_bytes(raw, policy=policy.default)
        try:
            self.subject = str(modern["subject"] or "").strip()
        except Exception:
            self.subject = None

    def find_bodies(self):
        """The leaves that are the mail's text: mimicry.toml(5), position."""
        found = []

        def walk(part):
            kind = part.get_content_type()
            if part.get_content_maintype() != "multipart" or not part.is_multipart():
                found.append(part)
                return
            children = part.get_payload()
            if kind in ("multipart/encrypted", "multipart/digest", "multipart/form-data"):
                return
            if kind in ("multipart/report", "multipart/signed"):
                children = children[:1]
            if kind == "multipart/related":
                start = part.get_param("start")
                named = [child for child in children if start and child.get("content-id", "").strip() == start.strip()]
                children = named[:1] or children[:1]
            for child in children:
                walk(child)

        walk(self.message)
        found = {id(part) for part in found}
        texts = [leaf for leaf in self.leaves if id(leaf.part) in found and leaf.type in ("text/plain", "text/html")]
        if len(self.leaves) == 1:
            return texts  # nothing else to read, whatever it is called
        texts = [leaf for leaf in texts if leaf.disposition in (None, "inline")]

        def is_own(leaf):
            variant = any(above.get_content_type() == "multipart/alternative" for above in leaf.ancestors)
            return variant or not leaf.filename()

        own = [leaf for leaf in texts if is_own(leaf)]
        return own or texts[:1]

    def is_bulk(self):
        root = self.message
        auto = root.get("auto-submitted")
        return (root.get_content_type() == "multipart/report"
                or any(name.lower().startswith("list-") for name in root.keys())
                or (auto is not None and re.split(r"[;\s(]", auto.strip().lower())[0] != "no")
                or str(root.get("precedence", "")).strip().lower() in ("bulk", "list", "junk", "auto_reply"))

    def targets(self, which):
        """The leaves that get the text: mimicry-plugins(7), parts."""
        if which.wrap and any(leaf.is_sealed for leaf in self.bodies):
            return []
        bodies = [leaf for leaf in self.bodies if not leaf.is_sealed]
        if which.parts == "all":
            return bodies
        groups = []
        for leaf in bodies:
            outermost = next((above for above in leaf.ancestors if above.get_content_type() == "multipart/alternative"), None)
            if groups and outermost is not None and groups[-1][0] is outermost:
                groups[-1][1].append(leaf)
            else:
                groups.append((outermost, [leaf]))
        if not groups:
            return []
        from_start = which.place == "top" or which.parts == "first"
        group = groups[0 if from_start else -1][1]
        by_type = {}
        for leaf in group if from_start else reversed(group):
            by_type.setdefault(leaf.type, leaf)
        return [leaf for leaf in group if any(leaf is chosen for chosen in by_type.values())]

    def intended(self, which):
        """What must happen: ("edit", leaves), ("wrap", []), ("attach", []), ("refuse", []) or ("same", [])."""
        if self.is_bulk() and not which.bulk and not which.required:
            return "same", []
        sealed = any(leaf.is_sealed for leaf in self.leaves)
        chosen = self.targets(which)
        if which.required and (not chosen or any(leaf.is_sealed for leaf in self.bodies)):
            return "refuse", []
        if not chosen:
            return ("wrap", []) if which.wrap and sealed else ("same", [])
        if self.override == "same":
            return "same", []
        if self.override is None and all(leaf.text() is not None and not self.is_framed(leaf) for leaf in chosen):
            return "edit", chosen
        first = which.fallback[0]
        return {"attach": "attach", "skip": "same", "reject": "refuse"}[first], []

    @staticmethod
    def is_framed(leaf):
        return leaf.type == "text/html" and re.search(r"<frameset", leaf.text(), re.I) is not None


# --- the checks --------------------------------------------------------------------------------------------------------


class Wrong(Exception):
    pass


def must(truth, what):
    if not truth:
        raise Wrong(what)


def unflowed(text, delsp):
    """Format=flowed (RFC 3676) read back into paragraphs."""
    out, open_line = [], None
    for line in text.split("\n"):
        line = line[1:] if line.startswith(" ") else line
        flows = line.endswith(" ") and line != "-- "
        if flows and delsp:
            line = line[:-1]
        open_line = line if open_line is None else open_line + line
        if not flows:
            out.append(open_line)
            open_line = None
    if open_line is not None:
        out.append(open_line)
    return "\n".join(out)


def check_plain(which, words, old, new, leaf):
    """The text in a text/plain leaf: at its place, one blank line from the mail's own, every character."""
    mark = "\ufeff" if old.startswith("\ufeff") else ""
    must(new.startswith(mark), "the byte order mark is gone")
    old, new = old[len(mark):], new[len(mark):]
    at = None
    if which.place == "top":
        must(new.endswith(old), "the own text does not stand below ours as it was")
        at = 0
    elif new.startswith(old):
        at = len(old)
    else:
        must(which.place == "below-reply", "the own text does not stand above ours as it was")
        grown = len(new) - len(old)
        places = [k for k in range(len(old) + 1) if new[:k] == old[:k] and new[k + grown:] == old[k:]] if grown > 0 else []
        must(places, "the own text is not around ours as it was")
        starts = [k for k in places if new[k:].lstrip("\r\n").startswith((which.separator or words)[:12])]
        at = (starts or places)[0]
    ours = new[at:at + len(new) - len(old)].replace("\r\n", "\n").replace("\r", "\n")
    above, below = old[:at], old[at:]
    flowed = str(leaf.part.get_param("format", "")).lower() == "flowed"
    if flowed:
        ours = unflowed(ours, str(leaf.part.get_param("delsp", "")).lower() == "yes")
    text = "\n".join(line.rstrip() for line in words.split("\n"))
    core = ours.strip("\n")
    wanted = text
    if which.separator:
        separator = which.separator if which.separator == "-- " else which.separator.rstrip()
        wanted = f"{text}\n{separator}" if which.place == "top" else f"{separator}\n{text}"
    must(core == wanted, f"ours is {core!r}, not {wanted!r}")
    lead, tail = len(ours) - len(ours.lstrip("\n")), len(ours) - len(ours.rstrip("\n"))
    blank = lambda part: re.sub(r"[ \t]+(?=\n|$)", "", part.replace("\r\n", "\n").replace("\r", "\n"))
    if above.strip():
        end = blank(above)
        gap = lead + len(end) - len(end.rstrip("\n"))
        had = len(end) - len(end.rstrip("\n"))
        must(gap == max(2, had), f"{gap} line ends between the own text and ours")
    elif not above:
        must(lead == 0, "a blank line above ours")
    if below.strip():
        start = blank(below)
        had = len(start) - len(start.lstrip("\n"))
        must(had > 0 or tail >= 2, "no blank line below ours")
        must(tail <= 2, f"{tail} line ends below ours")
    else:
        must(tail == 1, f"{tail} line ends at the end of ours")
    return above, below


def check_html(which, words, old, new):
    """The text in a text/html leaf: the old HTML as it was around it, ours what a reader sees at its place."""
    grown = len(new) - len(old)
    must(grown > 0, "the HTML did not grow")
    front = next((k for k, (a, b) in enumerate(zip(old, new)) if a != b), len(old))
    back = next((k for k, (a, b) in enumerate(zip(reversed(old), reversed(new))) if a != b), len(old))
    must(front + back >= len(old), "the own HTML is not around ours as it was")
    was, now = visible(old), visible(new)
    squeezed = lambda text: "".join(text.split())
    seen = squeezed(words)
    must(squeezed(now).count(seen) == squeezed(was).count(seen) + 1, f"{words!r} is seen {squeezed(now).count(seen)} times, before {squeezed(was).count(seen)}")
    now, was = squeezed(now), squeezed(was)
    at = now.find(seen) if which.place == "top" else now.rfind(seen)
    must(now[:at] + now[at + len(seen):] == was, "the own words changed")
    above, below = now[:at], now[at + len(seen):]
    if which.place == "top":
        must(not above, f"{above[-40:]!r} is seen above ours")
    elif which.place == "bottom":
        must(not below, f"{below[:40]!r} is seen below ours")
    return above, below


def check_coding(leaf, old_leaf, raw_lines):
    """What the header says of the coding is true, and what we wrote in it is legal."""
    octets = leaf.octets()
    lines = octets.split(b"\n")
    old = old_leaf.octets() if old_leaf is not None else b""
    if leaf.cte in ("", "7bit") or leaf.cte in ("base64", "quoted-printable"):
        new_8bit = [line for line in lines if not line.isascii() and line not in raw_lines]
        must(not new_8bit, f"8-bit octets in a part declared {leaf.cte or 'nothing'}: {new_8bit[:1]}")
        if old.isascii():
            must(octets.isascii(), "8-bit octets in a 7bit part that had none")
    if leaf.cte in ("base64", "quoted-printable"):
        known = set(old.split(b"\n"))
        for line in lines:
            if line in known or line + b"\r" in known:
                continue
            line = line.removesuffix(b"\r")
            must(len(line) <= 76, f"a line of {len(line)} octets in {leaf.cte}")
            legal = rb"[A-Za-z0-9+/]*={0,2}" if leaf.cte == "base64" else rb"(?:=[0-9A-F]{2}|[\t -<>-~])*=?"
            must(re.fullmatch(legal, line), f"{line!r} is not {leaf.cte}")
            must(not line.endswith((b" ", b"\t")), f"{line!r} ends in a blank")


def check_new_text(leaf, words):
    """A text part of ours."""
    must(leaf.type == "text/plain", f"a new part is {leaf.type}")
    must(leaf.part.get_content_disposition() in (None, "inline"), "the new part is not shown inline")
    text = leaf.text()
    must(text is not None, "the new part is not what its header says")
    got = text.replace("\r\n", "\n").strip("\n")
    must(got == "\n".join(line.rstrip() for line in words.split("\n")), f"the new part is {got!r}")
    check_coding(leaf, None, set())


def check_octets(before, out):
    """Of the whole mail."""
    for line in out.split(b"\n"):
        if len(line.removesuffix(b"\r")) > 998 and line not in before.lines:
            raise Wrong(f"a new line of {len(line)} octets: {line[:60]!r}")
    if b"\r" not in before.raw and b"\n" in before.raw:
        must(b"\r" not in out, "a CR in a mail of LF lines")
    elif re.search(rb"(?<!\r)\n|\r(?!\n)", before.raw) is None:
        must(re.search(rb"(?<!\r)\n|\r(?!\n)", out) is None, "a lone CR or LF in a mail of CRLF lines")


def fields_of(raw, message):
    """The octets of the root's fields but those of its content."""
    if not message.keys():
        return []
    block = re.split(rb"(?:^|(?<=\n))\r?\n", raw, maxsplit=1)[0]
    fields = re.split(rb"(?<=\n)(?![ \t])", block)
    return [field for field in fields if field and not field.lower().startswith((b"content-", b"mime-version"))]


def pair(before, after, targets, extra):
    """Each leaf of the result with the one it was, or None for a new one; the new ones must be `extra` in number."""
    pairs, index = [], 0
    spare = extra
    old = before.leaves
    for leaf in after:
        was = old[index] if index < len(old) else None
        if was is not None and leaf.same(was):
            pairs.append((was, leaf))
            index += 1
        elif was is not None and any(was is target for target in targets) and leaf.type == was.type:
            pairs.append((was, leaf))
            index += 1
        elif spare:
            pairs.append((None, leaf))
            spare -= 1
        else:
            must(was is not None, "a leaf too many")
            raise Wrong(f"a leaf {was.type} changed that should not")
    must(index == len(old), f"{len(old) - index} leaves are gone")
    return pairs


def run(which, raw):
    done = subprocess.run([MIMICRYD, "filter", "-c", which.config, "--from", SENDER, "--to", RECIPIENT],
                          input=raw, capture_output=True, timeout=60)
    return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")


def check(which, before, positions, again=False):
    code, out, said = run(which, before.raw)
    what, targets = before.intended(which)
    if what == "refuse":
        must(code not in (0, 1, 101) and not out, f"not refused, exit {code}")
        return
    must(code == 0, f"exit {code}: {said.strip()[-200:]}")
    text, seen = which.words(before.subject)
    if what == "same":
        must(out == before.raw, f"changed: {said.splitlines()[0][:200]}")
        return
    must(out != before.raw, f"not changed ({what}): {said.splitlines()[0][:200]}")
    message = email.message_from_bytes(out)
    after = list(leaves_of(message))
    is_picture = which.images and any(leaf.type == "text/html" for leaf in targets)
    htmls = sum(leaf.type == "text/html" for leaf in targets)
    extra = htmls if is_picture else 1 if what in ("attach", "wrap") else 0
    must(len(after) == len(before.leaves) + extra, f"{len(after)} leaves of {len(before.leaves)} ({what})")
    must(fields_of(out, message) == fields_of(before.raw, before.message), "a field of the header changed")
    must(before.message.get_all("mime-version") or message.get("mime-version", "").strip() == "1.0"
         or message.get("content-type") == before.message.get("content-type"), "no MIME-Version")
    check_octets(before, out)
    pairs = pair(before, after, targets, extra)

    at = 0
    for was, leaf in pairs:
        edited = was is not None and any(was is target for target in targets)
        if was is not None and not edited:
            must(leaf.same(was), f"a leaf {was.type} changed")
            for piece in was.pieces():
                found = out.find(piece, at)
                must(found >= 0, f"a leaf {was.type} is not there octet for octet")
                at = found + len(piece)
        elif was is None and is_picture:
            check_picture(leaf, after)
        elif was is None:
            check_new_text(leaf, text)
        else:
            old, new = was.text(), leaf.text()
            must(new is not None, f"{leaf.part.get('content-type')!r}, {leaf.cte!r} is not true of the body")
            check_coding(leaf, was, before.lines)
            if was.type == "text/html":
                around = check_html(which, seen, old, new)
            else:
                around = check_plain(which, text, old, new, leaf)
            if which.place == "below-reply" and around[1].strip():
                positions.append((which.name, was.type, squeeze(around[0])[-16:], squeeze(around[1])[:16]))
    new = [index for index, (was, _) in enumerate(pairs) if was is None]
    if what == "attach":
        place = 0 if which.place == "top" else len(pairs) - 1
        must(new == [place], "the text part is not at its end of the mail")
    if what == "wrap":
        check_wrap(which, pairs, new[0], before, out)
    if not again and what == "edit":
        check_again(which, out)


def squeeze(text):
    return "".join(text.split())


def check_picture(leaf, after):
    must(leaf.type == "image/png" and leaf.part.get_payload(decode=True) == PICTURE, "the picture is not the picture")
    name = leaf.part.get("content-id", "").strip().strip("<>")
    must(leaf.ancestors and leaf.ancestors[-1].get_content_type() == "multipart/related", "the picture is not in a related")
    must(sum(other.part.get("content-id", "").strip().strip("<>") == name for other in after) == 1, "two parts of one Content-ID")
    related = leaf.ancestors[-1]
    shown = [other for other in after if other.type == "text/html" and any(above is related for above in other.ancestors)
             and f"cid:{name}" in (other.text() or "")]
    must(shown, "no HTML shows the picture")
    check_coding(leaf, None, set())


def check_wrap(which, pairs, index, before, out):
    """Ours stands before or behind the sealed part, in a multipart/mixed; the sealed octets are as they were."""
    mixed = pairs[index][1].ancestors[-1] if pairs[index][1].ancestors else None
    must(mixed is not None and mixed.get_content_type() == "multipart/mixed", "ours is not in a multipart/mixed")
    sealed = [at for at, (was, _) in enumerate(pairs) if was is not None and was.is_sealed]
    if which.place == "top":
        must(index < sealed[0], "ours is below what is sealed")
    else:
        must(index > sealed[-1], "ours is above what is sealed")


def check_again(which, out):
    """The same rule once more on its own result."""
    if which.twice == "double":
        check(which, Before(out), [], again=True)
    elif which.twice == "same":
        code, again, said = run(which, out)
        must(code == 0 and again == out, f"the second time: {said.splitlines()[0][:200]}")


# --- what is known to differ -------------------------------------------------------------------------------------------

# Where Python would have something else happen, and why mimicry is right: what happens, with which sets (None: all).
WIDE = tuple(it.name for it in SETS if not (it.text or "é").isascii())
INTENDED = {
    "charset-ebcdic-base64": ("fallback", None, "mimicry reads the charsets of browsers; EBCDIC is none"),
    "charset-hz-gb-2312": ("fallback", None, "likewise HZ, which browsers gave up for its holes"),
    "charset-iso-2022-kr-base64": ("fallback", None, "likewise ISO-2022-KR"),
    "charset-iso-2022-jp-state-open-at-end": ("fallback", None, "the text ends within a double-octet state (RFC 1468 forbids it): ours would be read in it"),
    "structure-content-type-empty": ("fallback", WIDE, "a Content-Type that cannot be read cannot name the charset that ours needs; Python reads text/plain"),
    "structure-content-type-without-slash": ("fallback", WIDE, "likewise"),
}

# What Python finds wrong with a mail, and why it is not: parts of what it says, each of which must turn up.
DIFFERENT = {
    "cte-base64-on-multipart": (["changed: "], "a multipart that cannot be read gets the text beside it; Python sees no text at all"),
    "structure-boundary-empty": (["3 leaves of 2", "not changed", "exit 77"], "likewise: an empty boundary is none (RFC 2046 section 5.1.1)"),
    "structure-no-boundary-parameter": (["changed: "], "likewise"),
    "structure-content-type-twice-in-part": (["a leaf text/plain changed", "ours is ''"], "two media types of one part: mimicry follows one, Python the other"),
    "header-no-blank-line-body-follows": (["a field of the header changed"], "the text begins below the last field without a blank line; an edit puts one there, and without it this script takes the text for fields"),
    "header-subject-damaged-base64-word": (["ours is "], "a damaged encoded word is no word; Python reads what it can of it"),
    "reply-apple-attachment-last": (["a leaf text/plain changed"], "a text in several parts is one text: ours stands above the quote, in whichever part it is"),
    "reply-apple-attachment-last-with-ours": (["a leaf text/plain changed"], "likewise"),
    "header-8bit-latin1": (["is seen 0 times"], "an 8-bit Subject without a charset is read as windows-1252; Python gives up"),
    "header-crlf-encoded-in-subject": (["ours is "], "line breaks in an encoded word become blanks, so that a value makes no line"),
    "header-encoded-words-odd": (["is seen 0 times"], "broken encoded words stay as they are; Python drops some"),
    "html-odd-comments": (["is seen 0 times"], "`<!-->` is a whole comment (HTML standard 13.2.5.43); Python's parser looks for a later end"),
    "html-unclosed-comment-and-script": (["is seen below ours"], "a comment that never ends hides what follows; Python's parser shows it"),
    "plain-comments-in-content-type": (["changed: ", "not refused"], "comments in Content-Type are legal (RFC 2045 section 5.1); Python takes them for a part of the type"),
    "structure-blank-before-colon": (["stand above ours", "stand below ours", "is not around ours"], "`Name :` is a field (RFC 5322 section 4.5); for Python the header ends there"),
    "structure-boundary-after-broken-parameter": (["changed: ", "not refused"], "a parameter that cannot be read hides the boundary from Python alone"),
    "structure-boundary-behind-comments": (["changed: ", "not refused"], "nested comments hide the boundary"),
    "structure-boundary-plus-dashes": (["changed: ", "not refused"], "a boundary that is another's plus two hyphens: Python takes its delimiter for a close"),
    "structure-boundary-reused-nested": (["ours is ''"], "one boundary at two levels: the inner close ends the inner multipart, for Python both"),
    "structure-boundary-rfc2231-beside-plain": (["ours is ''"], "two boundaries: mimicry takes the starred one, Python the other"),
    "structure-content-type-garbage": (["changed: ", "not refused"], "a Content-Type that cannot be read means text/plain (RFC 2045 section 5.2)"),
    "structure-content-type-space-in-type": (["changed: ", "not refused"], "a blank beside the slash is tolerated (RFC 2045 section 5.1, RFC 822)"),
    "structure-cr-only": (["changed: ", "not refused"], "a lone CR ends no line (RFC 5321 section 2.3.8); for Python it does"),
    "structure-lone-cr": (["stand above ours", "stand below ours", "is not around ours"], "likewise"),
    "structure-part-empty": (["3 leaves of 2"], "a delimiter right below a delimiter is an empty part; Python drops it"),
    "structure-part-starts-with-blank": (["a leaf text/html changed"], "a fold of nothing is dropped, and the fields below it count; for Python the header ends there"),
} | dict.fromkeys(
    ("bounce-qmail-plain", "outlook-alternative-reply-divider", "plain-legal-notice-present", "plain-reply-german-outlook",
     "reply-emclient-html", "reply-unmarked-introduction-then-block", "reply-yahoo-classic"),
    (["the second time: "], "per-mail with our text at the bottom, below a quoted mail whose lines bear no mark: it cannot be told from one that was quoted"),
)

# Where below-reply puts ours elsewhere than at the bottom, without blanks: what is above, what is below.
REPLIES = {
    "reply-apple-forward-marked": {"text/plain": ("Seebelow.", ">Beginforwardedm")},
    "reply-emclient-html": {"text/html": ("Myownreply.", "------OriginalMe")},
    "reply-gmail-text-made-of-html": {"text/plain": ("ok", "OnSun,Nov22,2026")},
    "reply-unmarked-introduction-then-block": {"text/plain": ("Myownreply.", "OnMon,Nov23,2026")},
    "reply-yahoo-classic": {"text/plain": ("Myownreply.", "---OnMon,11/23/2")},
    "bounce-qmail-plain": {"text/plain": ("opyofthemessage.", "Received:fromnot")},
    "gmail-alternative-reply-quote": {
        "text/plain": ("es–8pmatthecafé.", "OnWed,Apr24,2024"),
        "text/html": ("es–8pmatthecafé.", "OnWed,Apr24,2024"),
    },
    "html-quoted-mail-several-programs": {"text/html": ("Neu", "OnWedwrote:From:")},
    "outlook-alternative-reply-divider": {
        "text/plain": ("Fine.Anna", "________________"),
        "text/html": ("Fine.Anna", "From:TomReed<tom"),
    },
    "plain-legal-notice-present": {"text/plain": ("steredinEngland.", "From:AnnaBerg<an")},
    "plain-reply-english-on-wrote": {"text/plain": ("17thisbest.Peter", "OnTue,Mar19,2024")},
    "plain-reply-french-a-ecrit": {"text/plain": ("rdpourlundià10h.", "Le20mars202408:5")},
    "plain-reply-german-outlook": {"text/plain": ("en.GrüßeJ.Müller", "-----Ursprünglic")},
    "proton-html-quote": {
        "text/plain": ("Mailsecureemail.", "OnWednesday,May8"),
        "text/html": ("akk!Detserbraut.", "OnWednesday,May8"),
    },
    "yahoo-alternative-quoted": {
        "text/plain": ("Thanks,Bill!", "OnFriday,May3,20"),
        "text/html": ("Thanks,Bill!", "OnFriday,May3,20"),
    },
}
REPLY_SETS = {it.name for it in SETS if it.place == "below-reply"}


def judge(path):
    """All sets on one mail: what was wrong."""
    name = path.stem
    before = Before(path.read_bytes())
    wrong, positions, needed = [], [], set()
    for which in SETS:
        what, sets, _ = INTENDED.get(name, (None, None, None))
        before.override = None
        if what is not None and (sets is None or which.name in sets):
            plain = before.intended(which)
            before.override = what
            needed |= {name} if before.intended(which) != plain else set()
        try:
            check(which, before, positions)
        except Wrong as error:
            wrong.append((which.name, str(error)))
        except Exception as error:  # a fault of this script: with the mail's name
            wrong.append((which.name, f"{type(error).__name__}: {error}"))
    parts, _ = DIFFERENT.get(name, ([], None))
    out = [f"{which}: {what}" for which, what in wrong if not any(part in what for part in parts)]
    out += [f"no longer says {part!r}" for part in parts if not any(part in what for _, what in wrong)]
    if name in INTENDED and name not in needed:
        out.append("Python no longer has something else happen")
    if any(part != "the second time: " for part in parts):
        positions = []
    expected = {(which, kind, *around) for kind, around in REPLIES.get(name, {}).items() for which in REPLY_SETS}
    out += [f"below-reply: {it}, not expected" for it in sorted(set(positions) - expected)]
    out += [f"below-reply: {it} expected" for it in sorted(expected - set(positions))]
    return name, out


def main():
    (WORK / "logo.png").write_bytes(PICTURE)
    for which in SETS:
        which.write()
    paths = sorted(MAILS.glob("*.eml"))
    names = {path.stem for path in paths}
    assert len(paths) > 300 and names >= {*INTENDED, *DIFFERENT, *REPLIES}, "mails are missing"
    if sys.argv[4:]:
        paths = [path for path in paths if path.stem in sys.argv[4:]]
    with multiprocessing.Pool(2) as pool:
        results = pool.map(judge, paths, chunksize=4)
    failed = [(name, what) for name, out in results for what in out]
    for name, what in failed:
        print(f"failed: {name}: {what[:400]}")
    if failed:
        sys.exit(1)
    print(f"ok: {len(paths)} mails, {len(SETS)} sets of options; Python reads {len(INTENDED) + len(DIFFERENT)} of the mails otherwise")


if __name__ == "__main__":
    main()
