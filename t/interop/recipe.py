"""Mails of the corpus that message_instance says something of, after each plugin that edits. By draft-ietf-dkim-dkim2-spec-08, sections 4
to 7, with nothing in common with mimicry: the hashes must be those of the mail as it goes out, and what the recipe makes must have those
of the mail as it came. `mimicryd restore` must make the mail as it came, or say that it cannot.

usage: recipe.py MIMICRYD MAILS WORK
"""

import base64
import hashlib
import json
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

MIMICRYD, MAILS, WORK = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])

EDITS = {
    "disclaim": 'plugin = "disclaim"\nmatch = { bulk = [true, false] }\non_sealed = "wrap"\n'
                'options = { text = "-- us –", html = "<p>us –</p>" }',
    "banner": 'plugin = "banner"\nmatch = { bulk = [true, false] }\non_sealed = "wrap"\n'
              'options = { text = "From outside", html = "<p>From outside</p>", subject_tag = "[EXT]" }',
    "header": 'plugin = "header"\noptions = { add = { Keywords = "Exämple" }, prefix_subject = "[x]", force = true }',
    "zip": 'plugin = "zip"\noptions = { name = "all.zip" }',
    "tar_gzip": 'plugin = "tar_gzip"\noptions = { name = "all.tar.gz" }',
    "tar_bzip2": 'plugin = "tar_bzip2"\noptions = { name = "all.tar.bz2" }',
    "remove": 'plugin = "remove"\noptions = { note = "text" }',
    "pgp_sign": 'plugin = "pgp_sign"\nmatch = { client = "127.0.0.0/8" }\n'
                f'options.keys = {{ "example.org" = "{WORK}/anna.secret.asc" }}',
}

IGNORED = set(b"""apparently-to arc-authentication-results arc-message-signature arc-seal authentication-results delivered-to dkim-signature
    dkim2-signature dl-expansion-history message-instance original-recipient received return-path sio-label-history x400-received
    x400-trace""".split())

# Mails whose header other programs end at another line, or that have lines which end in more than one way; as those with a lone CR.
ODD = {
    "header-no-blank-line-body-follows": "the header has a line that is no field",
    "structure-no-header-no-blank": "the same",
    "structure-from-lines-and-mbox": "it begins with a line of an mbox",
    "structure-lf-inside-crlf-html": "lines end in LF and in CRLF",
    "structure-mixed-line-ends": "the same",
}


def command(*words, stdin=b""):
    return subprocess.run(words, input=stdin, capture_output=True, timeout=120)


def parted(raw):
    """The fields as pairs, from the top, and the lines of the body."""
    lines = [line.removesuffix(b"\r") for line in raw.split(b"\n")]
    if lines[-1] == b"":
        lines.pop()
    if lines and lines[0].startswith(b"From "):
        lines.pop(0)
    end = lines.index(b"") if b"" in lines else len(lines)
    fields = []
    for line in lines[:end]:
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1] += line
        else:
            fields.append(line)
    pairs = [(name.strip().lower(), value) for name, colon, value in (field.partition(b":") for field in fields) if colon]
    return pairs, lines[end + 1:]


def ignored(name):
    return name in IGNORED or name.startswith((b"x-", b"received-"))


def header_hash(pairs):
    form = lambda value: re.sub(rb"[ \t]+", b" ", value).strip(b" ")
    # Of one name from the bottom up, which a stable sort keeps.
    kept = sorted((pair for pair in reversed(pairs) if not ignored(pair[0])), key=lambda pair: pair[0])
    return hashlib.sha256(b"".join(name + b":" + form(value) + b"\r\n" for name, value in kept)).digest()


def body_hash(lines):
    lines = list(lines)
    while lines and lines[-1] == b"":
        lines.pop()
    return hashlib.sha256(b"".join(line + b"\r\n" for line in lines) or b"\r\n").digest()


def applied(steps, lines):
    out, last = [], 0
    for step in steps:
        (kind, value), = step.items()
        if kind == "c":
            first, end = value
            assert last < first <= end <= len(lines), step
            out += lines[first - 1:end]
            last = end
        else:
            out += [text.encode() if kind == "d" else base64.b64decode(text, validate=True) for text in value]
    assert not any(b"\r" in line or b"\n" in line for line in out)
    return out


def looked_at(raw, new):
    """What is wrong, or nothing; and whether the body can be made again."""
    pairs, lines = parted(new)
    values = [value for name, value in pairs if name == b"message-instance"]
    if not values:
        return "there is no field", False
    tags = dict(tag.strip().split(b"=", 1) for tag in values[0].split(b";") if tag.strip())
    tags = {name.strip(): re.sub(rb"\s", b"", value) for name, value in tags.items()}
    kind, header, body = tags[b"h"].split(b":")
    if (kind, base64.b64decode(header), base64.b64decode(body)) != (b"sha256", header_hash(pairs), body_hash(lines)):
        return "the hashes are not those of the mail", False
    recipe = json.loads(base64.b64decode(tags[b"r"], validate=True)) if b"r" in tags else {}
    old_pairs, old_lines = parted(raw)
    by_name = {}
    for name, value in reversed(pairs):
        by_name.setdefault(name, []).append(value)
    for name, steps in recipe.get("h", {}).items():
        by_name[name.encode()] = applied(steps, by_name.get(name.encode(), []))
    made = [(name, value) for name, values in by_name.items() for value in reversed(values)]
    if header_hash(made) != header_hash(old_pairs):
        return "the recipe makes another header", False
    steps = recipe.get("b", [{"c": [1, len(lines)]}] if lines else [])
    if steps is None:
        return "", False
    if body_hash(applied(steps, lines)) != body_hash(old_lines):
        return "the recipe makes another body", False
    return "", True


def one(work):
    name, path = work
    raw = path.read_bytes()
    run = lambda *rest, stdin: command(MIMICRYD, *rest, stdin=stdin)
    envelope = ("--from", "a@example.net", "--to", "b@example.org", "--client", "127.0.0.1")
    done = run("filter", "-c", WORK / f"{name}.toml", *envelope, stdin=raw)
    plain = run("filter", "-c", WORK / f"{name}.plain.toml", *envelope, stdin=raw)
    if done.returncode or plain.stdout == raw:
        return "unedited", ""
    new = done.stdout
    if path.stem in ODD or re.search(rb"\r(?!\n)", raw):
        restored = run("restore", "-", "-o", "-", stdin=new)
        return "odd", "" if restored.returncode == 65 or restored.stdout == raw else "another mail"
    try:
        wrong, can = looked_at(raw, new)
    except (AssertionError, ValueError, KeyError) as error:
        wrong, can = f"{type(error).__name__}: {error}", False
    restored = run("restore", "-", "-o", "-", stdin=new)
    if (restored.returncode, restored.stdout) != ((0, raw) if can else (65, b"")):
        wrong = wrong or f"restore: exit {restored.returncode}: {restored.stderr.decode('utf-8', 'replace')}"
    return ("back" if can else "gone"), wrong


def main():
    head = '[[listen]]\nname = "in"\naddress = "127.0.0.1:10025"\n[relay]\nnext_hop = "smtp://127.0.0.1:10026"\n'
    for name, edit in EDITS.items():
        rule = f'{head}[[rule]]\nname = "edit"\n{edit}\n'
        (WORK / f"{name}.plain.toml").write_text(rule, encoding="utf-8")
        (WORK / f"{name}.toml").write_text(rule + '[[rule]]\nname = "how"\nplugin = "message_instance"\n', encoding="utf-8")
    work = [(name, path) for name in EDITS for path in sorted(MAILS.glob("*.eml"))]
    counts, wrong = {}, []
    with ThreadPoolExecutor(2) as pool:
        for (name, path), (what, why) in zip(work, pool.map(one, work)):
            counts[name, what] = counts.get((name, what), 0) + 1
            if why:
                wrong.append(f"{name} {path.name}: {why}")
    for name in EDITS:
        print(f"{name}: " + ", ".join(f"{counts.get((name, what), 0)} {what}" for what in ("back", "gone", "odd", "unedited")))
    print("\n".join(wrong[:40]))
    sys.exit(bool(wrong) or not counts.get(("disclaim", "back"), 0) > 300)


main()
