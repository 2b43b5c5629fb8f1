"""The trees of the corpus beside those of Python's email package: nesting, types, decoded leaves and names of files are the same, and
every difference is listed with the reason why ours stays. mimicry-core/tests/differential.rs and corpus.rs do so with other readers.

The list is what Python 3.11 reads, which Debian 12 has. A difference that is not listed fails, and so does a row of the list that is no difference any more.

usage: differential.py TREE MAILS; TREE is the example `tree` of mimicry-core
"""

import email
import hashlib
import pathlib
import re
import subprocess
import sys
from email import policy

TREE, MAILS = sys.argv[1], pathlib.Path(sys.argv[2])


class Row:
    """A part, in document order; what is in an enclosed message is not looked into."""

    def __init__(self, depth, kind, is_leaf, content, names):
        self.depth, self.kind, self.is_leaf, self.content, self.names = depth, kind, is_leaf, content, names


def ours(paths):
    """The rows of each mail."""
    out = subprocess.run([TREE, *map(str, paths)], check=True, capture_output=True).stdout.decode("utf-8")
    rows = [[] for _ in paths]
    for line in out.split("\n")[:-1]:
        number, depth, kind, leaf, content, *names = line.rstrip("\t").split("\t")
        names = [bytes.fromhex(name).decode("utf-8") for name in names]
        rows[int(number)].append(Row(int(depth), kind, leaf == "leaf", None if content == "-" else content, names))
    return rows


def theirs(raw):
    rows = []

    def add(part, depth):
        kind = part.get_content_type()
        # Where Python finds no parts, a multipart has its text.
        is_leaf = not kind.startswith("multipart/") or not part.is_multipart()
        content = None
        if is_leaf and not part.is_multipart():
            content = hashlib.sha256(part.get_payload(decode=True) or b"").hexdigest()
        name = part.get_filename()
        rows.append(Row(depth, kind, is_leaf, content, [] if name is None else [name]))
        if not is_leaf:
            for child in part.get_payload():
                add(child, depth + 1)

    add(email.message_from_bytes(raw, policy=policy.default), 1)
    return rows


def difference(here, raw):
    """The first that differs, in one line. Of the names, ours may be more: each is one that some program saves the part under."""
    try:
        there = theirs(raw)
    except Exception as error:
        return f"it is not read there: {type(error).__name__}"
    for index, (own, other) in enumerate(zip(here, there)):
        what = None
        if own.depth != other.depth:
            what = f"depth {own.depth}, {other.depth} there"
        elif own.kind != other.kind:
            what = f"{own.kind}, {other.kind} there"
        elif own.is_leaf != other.is_leaf:
            what = "a leaf, and none there" if own.is_leaf else "no leaf, and one there"
        elif own.is_leaf and own.content is None and other.content is not None:
            what = "cannot be decoded, and is there"
        elif other.content is not None and own.content != other.content:
            what = "other content"
        else:
            missing = [name for name in other.names if name not in own.names]
            what = f"not the name {ascii(missing[0])}" if missing else None
        if what:
            return f"part {index}: {what}"
    return None if len(here) == len(there) else f"{len(here)} parts, {len(there)} there"

GUESS = "ours refuses to decode what is not in its coding, so that no edit rests on a guess"
UNKNOWN = "there, the coding is not known and the coded octets count as the content; ours says that it cannot decode"
BLANKS = "there, blanks at the end of a quoted-printable line stay, which RFC 2045 section 6.7 (3) has deleted"
CONTROL = "ours replaces control characters as mail programs do: no file can have such a name"
COMMENT = "there, a comment is part of the type"
NOT_READ = "what cannot be read is text/plain (RFC 2045 section 5.2)"
NO_PARTS = "there, a multipart in which no part begins is a leaf; ours is a multipart without parts"

# Where mimicry and Python read a mail of the corpus differently, and why ours stays: mail, difference, reason.
DIFFERENCES = [
    ("broken-base64-is-plain-text", "part 0: cannot be decoded, and is there", GUESS),
    ("broken-base64-junk-characters", "part 0: cannot be decoded, and is there", GUESS),
    ("broken-base64-missing-padding", "part 0: cannot be decoded, and is there", GUESS),
    ("broken-base64-truncated-attachment", "part 2: cannot be decoded, and is there", GUESS),
    ("broken-qp-bad-escapes", "part 0: cannot be decoded, and is there", GUESS),
    ("broken-qp-trailing-blanks", "part 0: other content", BLANKS),
    ("broken-uu-truncated", "part 0: cannot be decoded, and is there",
     "there, what came of the coding before it breaks off is the content; " + GUESS),
    ("broken-yenc-bad-crc", "part 0: cannot be decoded, and is there", UNKNOWN),
    ("cte-base64-comment", "part 0: other content",
     "there, a comment after the coding hides it (RFC 2045 section 6.1 allows it)"),
    ("cte-base64-trailing-blank", "part 0: other content", "there, a blank after the word hides the coding"),
    ("cte-folded-name", "part 0: other content", "there, a fold before the word hides the coding"),
    ("cte-qp-lines-over-76", "part 0: other content", BLANKS),
    ("cte-quoted-name", "part 0: cannot be decoded, and is there",
     "a quoted word is no coding (RFC 2045 section 6.1); there, it is passed over, and ours says that it cannot decode"),
    ("cte-unknown", "part 0: cannot be decoded, and is there", UNKNOWN),
    ("cte-x-uuencode", "part 2: cannot be decoded, and is there",
     "there, this coding that no standard has is decoded; ours says that it cannot, and leaves the part alone"),
    ("cte-x-yenc", "part 2: cannot be decoded, and is there", UNKNOWN),
    ("list-footer-below-base64", "part 0: cannot be decoded, and is there", GUESS),
    ("name-behind-unfolded-line", "part 2: cannot be decoded, and is there",
     "there, what stands after a line that is no field is not in the content; ours has all of it as the body, which is no base64 then"),
    ("name-control-characters-and-dates", "part 2: not the name 'tab\\there\\x1b[31m.csv'", CONTROL),
    ("name-crlf-encoded", "part 2: not the name 'a.pdf\\r\\nBcc'",
     "there, the rest is lost with the line; ours replaces control characters as mail programs do"),
    ("name-folded-with-tab", "part 2: not the name 'Annual report of the company for the year\\t2023.pdf'",
     "there, the TAB of the fold is part of the name; ours has a blank in its place, or nothing, as mail programs do"),
    ("name-nul-encoded", "part 2: not the name 'report.pdf\\x00.exe'", CONTROL),
    ("name-nul-raw", "part 2: not the name 'a\\x00b.pdf'", CONTROL),
    ("name-quotes-within-quotes", "part 2: not the name 'The'",
     "there, the blank at the end is lost; ours has the name to the second quote with it, and the one to the last quote"),
    ("name-raw-8bit-latin1", "part 2: not the name 'Gr\\ufffd\\ufffde.csv'",
     "there, octets that are not UTF-8 are lost; ours reads them as windows-1252, as mail programs do"),
    ("name-reserved-con", "part 2: not the name 'CON.txt.'",
     "there, the blank at the end is lost; ours keeps the name as it was written"),
    ("name-rfc2231-sections-cut-encoded-words",
     "part 2: not the name '* \\U0001f601\\U0001f601\\ufffd=8\";\\tfilename*1=\"1\\U0001f601\\U0001f601\"; filename*2=\"\\U0001f601.js'",
     "there, encoded words that are cut by sections are decoded across the quotes between them; ours has the forms that mail programs make of it"),
    ("name-rfc2231-sections-from-one", "part 2: not the name ''",
     "there, sections that begin with 1 make no name; ours has the one that programs make of them"),
    ("name-rfc2231-unknown-charset", "part 2: not the name '\\ufffd\\ufffd.pdf'",
     "there, octets of a charset that is not known are lost; ours reads them as windows-1252"),
    ("plain-comments-in-content-type", "part 0: text/plain, text/plain (the usual) there", COMMENT),
    ("related-cid-in-damaged-qp", "part 2: cannot be decoded, and is there", GUESS),
    ("structure-blank-before-colon", "part 0: multipart/mixed, text/plain there",
     "there, a blank before the colon ends the header; ours reads the field as sendmail and mail programs do"),
    ("structure-boundary-after-broken-parameter", "part 0: no leaf, and one there",
     "there, a quote without an end hides all that follows; ours goes on at the next parameter"),
    ("structure-boundary-behind-comments", "part 0: multipart/mixed, multipart/mixed ((c) nested \"quoted there", COMMENT),
    ("structure-boundary-empty", "part 0: a leaf, and none there",
     "a boundary has an octet at least (RFC 2046 section 5.1.1), so ours is opaque"),
    ("structure-boundary-in-encoded-word", "part 1: text/plain, text/html there",
     "there, the boundary is decoded as an encoded word, which RFC 2047 section 5 forbids"),
    ("structure-boundary-inside-base64", "part 2: cannot be decoded, and is there", GUESS),
    ("structure-boundary-plus-dashes", "part 1: no leaf, and one there",
     "there, the delimiter of the inner multipart is taken for the end of the outer one; ours asks the innermost first"),
    ("structure-boundary-reused-nested", "part 1: no leaf, and one there",
     "two multiparts with one boundary: there the outer one has each delimiter, ours gives it to the innermost"),
    ("structure-boundary-rfc2231-beside-plain", "part 1: text/html, text/plain there",
     "two boundaries: here the starred one, as for names; the mail is in doubt to ours"),
    ("structure-boundary-single-quotes", "part 0: no leaf, and one there",
     "there, a value without double quotes ends at a character that no token has; ours goes on to the semicolon, as mail programs do"),
    ("structure-boundary-trailing-blank", "part 2: other content",
     "a boundary does not end with a blank (RFC 2046 section 5.1.1), so ours sees the closing delimiter; the mail is in doubt to ours"),
    ("structure-content-type-garbage", "part 0: text/plain, text/plain, charset=utf-8 there", NOT_READ),
    ("structure-content-type-space-in-type", "part 0: multipart/mixed, multipart / mixed there",
     "there, blanks around the slash are part of the type; mail programs pass over them"),
    ("structure-cr-only", "part 0: text/plain, multipart/alternative there",
     "there, a lone CR ends a line; in SMTP it ends none (RFC 5321 section 2.3.8)"),
    ("structure-last-boundary-missing", "part 2: other content",
     "there, the line end at the end of the mail is taken for that of the delimiter which is missing; ours keeps every octet"),
    ("structure-lone-cr", "part 0: multipart/mixed, text/plain there",
     "there, a lone CR ends a line; in SMTP it ends none (RFC 5321 section 2.3.8)"),
    ("structure-multipart-empty-body", "part 0: no leaf, and one there", NO_PARTS),
    ("structure-multipart-preamble-only", "part 0: no leaf, and one there", NO_PARTS),
    ("structure-part-empty", "4 parts, 3 there", "there, a delimiter right upon a delimiter is passed over; to ours a part of no octet stands between them"),
    ("structure-part-starts-with-blank", "part 1: text/plain, text/html there",
     "there, a first line that begins with a blank is passed over; ours ends the header before it"),
    ("structure-zero-parts", "part 0: no leaf, and one there", NO_PARTS),
]

if __name__ == "__main__":
    paths = sorted(MAILS.glob("*.eml"))
    assert len(paths) >= 120, "the corpus is not there"
    found = {}
    for path, rows in zip(paths, ours(paths)):
        what = difference(rows, path.read_bytes())
        if what is not None:
            found[path.stem] = what
    known = {name: what for name, what, _ in DIFFERENCES}
    assert len(known) == len(DIFFERENCES), "a mail stands twice in the list"
    new = {name: what for name, what in found.items() if known.get(name) != what}
    gone = {name: what for name, what in known.items() if found.get(name) != what}
    for title, rows in ("new", new), ("gone", gone):
        for name, what in sorted(rows.items()):
            print(f"{title}: {name}: {what}")
    if new or gone:
        sys.exit(1)
    print(f"ok: {len(paths)} mails, {len(known)} of them read otherwise by Python, each for a reason")
