"""Signed and encrypted mail that passes through `mimicryd filter`, checked by gpg, openssl and dkimpy.

What no rule edits leaves as it came and verifies; with on_sealed = wrap the signed part stands octet for octet in a new
multipart/mixed, and verifies there too. Mails of the corpus verify against its keys; others are made here with fresh keys.

usage: sealed.py MIMICRYD MAILS WORK
"""

import base64
import email
import html
import logging
import os
import pathlib
import re
import subprocess
import sys

import dkim

MIMICRYD, MAILS, WORK = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
FOOTER = "Example Ltd – Grüße, 中文 😀"
HEAD = (b"From: Anna Berg <anna.berg@example.org>\r\nTo: Tom Reed <tom.reed@example.net>\r\n"
        b"Subject: sealed\r\nDate: Fri, 22 Mar 2024 07:00:00 +0000\r\nMessage-ID: <sealed.1@example.org>\r\nMIME-Version: 1.0\r\n")
# What a careless program changes: blanks at line ends, a line of a dot, From, 8 bit, the last empty lines.
TEXT = ("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        "Gr=C3=BC=C3=9Fe =20\r\n.\r\n=46rom here\r\n\r\n-- =20\r\nAnna\r\n\r\n").encode()
MIXED = (b'Content-Type: multipart/mixed; boundary="in"\r\n\r\npreamble\r\n--in\r\n' + TEXT
         + b'\r\n--in\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>x</p></body></html>\r\n'
         + b'--in\r\nContent-Type: application/pdf; name="a.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n--in--\r\nepilogue\r\n')


def command(*words, stdin=b"", code=0):
    done = subprocess.run(words, input=stdin, capture_output=True, timeout=60)
    if code is not None and done.returncode != code:
        raise AssertionError(f"{' '.join(map(str, words))}: exit {done.returncode}: {done.stderr.decode('utf-8', 'replace')[-600:]}")
    return done


def put(name, octets):
    (WORK / name).write_bytes(octets)
    return str(WORK / name)


# --- mimicry -----------------------------------------------------------------------------------------------------------


def config(name, settings="", options="", match="bulk = [true, false]"):
    text = ('[[listen]]\nname = "in"\naddress = "127.0.0.1:10025"\n[relay]\nnext_hop = "smtp://127.0.0.1:10026"\n'
            f'[[rule]]\nname = "footer"\nplugin = "disclaim"\nmatch = {{ {match} }}\n{settings}\n'
            f'[rule.options]\ntext = "{FOOTER}"\nhtml = "<p>{FOOTER}</p>"\n{options}\n')
    (WORK / f"{name}.toml").write_text(text, encoding="utf-8")


config("skip")
config("wrap", 'on_sealed = "wrap"')
config("wrap-top", 'on_sealed = "wrap"', 'place = "top"')
config("elsewhere", match="sender = '@elsewhere\\.example$'")
config("dkim-edit", 'on_dkim = "edit"')
config("dkim-skip", 'on_dkim = "skip"\non_sealed = "wrap"')
config("dkim-strip", 'on_dkim = "strip"')


def through(name, raw):
    return command(MIMICRYD, "filter", "-c", WORK / f"{name}.toml", "--from", "anna@example.org", "--to", "tom@example.net", stdin=raw).stdout


# --- the octets of a mail ----------------------------------------------------------------------------------------------


def split(entity):
    """The octets of the header and of the body."""
    at = 0 if entity.startswith(b"\r\n") else entity.find(b"\r\n\r\n") + 2
    assert at >= 2 or entity.startswith(b"\r\n"), "no blank line"
    return entity[:at], entity[at + 2:]


def children(entity):
    """The octets of each part of a multipart, [] of a leaf."""
    header, body = split(entity)
    said = email.message_from_bytes(header)
    boundary = said.get_param("boundary")
    if said.get_content_maintype() != "multipart" or not boundary:
        return []
    delimiter = rb"(?:^|\r\n)--" + re.escape(boundary.encode()) + rb"(--)?[ \t]*(?=\r\n|$)"
    marks = list(re.finditer(delimiter, body))
    return [body[here.end() + 2:there.start()] for here, there in zip(marks, marks[1:]) if not here[1]]


def entities(entity):
    yield entity
    for child in children(entity):
        yield from entities(child)


def said_of(entity):
    return email.message_from_bytes(split(entity)[0])


def find(raw, *kinds):
    """The octets of the one part of these types."""
    found = [entity for entity in entities(raw) if said_of(entity).get_content_type() in kinds]
    assert len(found) == 1, f"{len(found)} parts of {kinds}"
    return found[0]


def content(entity):
    return email.message_from_bytes(entity).get_payload(decode=True)


def texts(raw):
    """The texts that bear our footer."""
    leaves = [entity for entity in entities(raw) if said_of(entity).get_content_type() in ("text/plain", "text/html")]
    return [text for text in (html.unescape((content(leaf) or b"").decode("utf-8", "replace")) for leaf in leaves) if FOOTER in text]


# --- who checks --------------------------------------------------------------------------------------------------------


class Gpg:
    def __init__(self, name):
        self.home = WORK / name
        self.home.mkdir(mode=0o700)

    def __call__(self, *words, stdin=b"", code=0):
        return command("gpg", "--homedir", self.home, "--batch", "--no-tty", "--quiet", "--trust-model", "always",
                       "--pinentry-mode", "loopback", "--passphrase", "", "--no-auto-check-trustdb", *words, stdin=stdin, code=code)

    def close(self):
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "gpg-agent"], capture_output=True)

    def verifies(self, signed, signature):
        """A detached signature over octets."""
        return self("--verify", put("signature", signature), put("signed", signed), code=None).returncode == 0

    def verifies_inline(self, text):
        return self("--verify", put("inline", text), code=None).returncode == 0

    def decrypt(self, octets):
        return self("--decrypt", stdin=octets).stdout


def check_pgp_mime(gpg, raw):
    signed, signature = children(find(raw, "multipart/signed"))[:2]
    assert gpg.verifies(signed, content(signature)), "gpg: the signature is bad"
    assert not gpg.verifies(signed.replace(b"e", b"a", 1), content(signature)), "gpg says that anything is good"
    return signed


def check_inline(gpg, raw):
    leaves = [content(entity) for entity in entities(raw) if said_of(entity).get_content_maintype() == "text"]
    signed = [text for text in leaves if b"-----BEGIN PGP SIGNED MESSAGE-----" in text]
    assert len(signed) == 1, f"{len(signed)} clear-signed texts"
    assert gpg.verifies_inline(signed[0]), "gpg: the clear signature is bad"
    return signed[0]


def check_smime(authority):
    def check(_, raw):
        entity = find(raw, "multipart/signed", "application/pkcs7-mime", "application/x-pkcs7-mime")
        if children(entity):
            signed, signature = children(entity)[:2]
            words = ("-inform", "DER", "-content", put("signed", signed))
        else:
            signature, signed = entity, content(entity)
            words = ("-inform", "DER")
        verify = ("openssl", "cms", "-verify", "-binary", "-CAfile", authority, "-purpose", "any", *words)
        done = command(*verify, stdin=content(signature), code=None)
        assert done.returncode == 0, f"openssl: {done.stderr.decode()[-300:]}"
        if children(entity):
            put("signed", signed.replace(b"e", b"a", 1))
            assert command(*verify, stdin=content(signature), code=None).returncode != 0, "openssl says that anything is good"
        return signed

    return check


def check_pgp_encrypted(gpg, raw):
    version, octets = children(find(raw, "multipart/encrypted"))
    assert content(version).strip() == b"Version: 1"
    assert gpg.decrypt(content(octets)) == MIXED, "gpg: another plain text"
    return octets


def check_armour(gpg, raw):
    leaves = [content(entity) for entity in entities(raw) if b"-----BEGIN PGP MESSAGE-----" in entity and not children(entity)]
    assert gpg.decrypt(leaves[0]) == MIXED, "gpg: another plain text"
    return leaves[0]


def check_smime_encrypted(key, certificate):
    def check(_, raw):
        entity = find(raw, "application/pkcs7-mime")
        done = command("openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", key, "-recip", certificate, stdin=content(entity))
        assert done.stdout.replace(b"\r\n", b"\n") == MIXED.replace(b"\r\n", b"\n"), "openssl: another plain text"
        return content(entity)

    return check


# --- sealed mail -------------------------------------------------------------------------------------------------------


def pass_through(name, raw, check, gpg, has_text_beside=False):
    """One sealed mail with each of the rules; `check` verifies it and returns the octets that are sealed."""
    sealed = check(gpg, raw)
    assert through("elsewhere", raw) == raw, "changed without a rule"

    out = through("skip", raw)
    if has_text_beside:
        assert out != raw and texts(out), "the text beside what is sealed was not edited"
    else:
        assert out == raw, "changed with on_sealed = skip"
    assert check(gpg, out) == sealed

    for rule in ("wrap", "wrap-top"):
        out = through(rule, raw)
        assert check(gpg, out) == sealed, "what is sealed changed"
        assert said_of(out).get_content_type() == "multipart/mixed", "the root is no multipart/mixed"
        parts = children(out)
        ours = [at for at, part in enumerate(parts) if not children(part) and FOOTER in (content(part) or b"").decode("utf-8", "replace")]
        assert len(texts(out)) == len(ours) == 1, f"{len(texts(out))} texts of ours"
        held = [at for at, part in enumerate(parts) if check_holds(check, gpg, part)]
        assert len(held) == 1, "what is sealed is not in one part"
        assert ours[0] == held[0] + (1 if rule == "wrap" else -1), "ours is not beside what is sealed"
        if said_of(raw).get_content_type() != "multipart/mixed":
            # The whole old body, from the first boundary to the last octet, in one piece.
            assert split(parts[held[0]])[1] == split(raw)[1].removesuffix(b"\r\n") or split(raw)[1] in out, "the old body is not there as it was"
            fields = re.findall(rb"(?im)^content-[^:]*:.*(?:\r\n[ \t].*)*", split(raw)[0])
            assert re.findall(rb"(?im)^content-[^:]*:.*(?:\r\n[ \t].*)*", split(parts[held[0]])[0]) == fields, "its fields changed"
    print(f"ok: {name}")


def check_holds(check, gpg, part):
    try:
        return bool(check(gpg, part))
    except (AssertionError, ValueError, IndexError):
        return False


def corpus():
    gpg = Gpg("corpus")
    gpg("--import", *map(str, sorted((MAILS / "keys").glob("pgp-*.asc"))))
    smime = check_smime(MAILS / "keys" / "smime-ca.crt")
    for name, check, has_text_beside in (
        ("demo-pgp-signed", check_pgp_mime, False),
        ("pgp-signed-mutt", check_pgp_mime, False),
        ("pgp-signed-thunderbird-protected-headers", check_pgp_mime, False),
        ("pgp-signed-trailing-blanks", check_pgp_mime, False),
        ("pgp-signed-below-mixed-list-footer", check_pgp_mime, True),
        ("inline-pgp-clearsigned", check_inline, False),
        ("inline-pgp-clearsigned-qp-utf8", check_inline, False),
        ("smime-signed-detached", smime, False),
        ("smime-signed-apple-old-protocol", smime, False),
        ("smime-signed-below-mixed", smime, True),
        ("smime-opaque-signed-data", smime, False),
    ):
        pass_through(name, (MAILS / f"{name}.eml").read_bytes(), check, gpg, has_text_beside)
    gpg.close()


def fresh():
    gpg = Gpg("fresh")
    gpg("--quick-gen-key", "Anna Berg <anna.berg@example.org>", "ed25519", "sign", "never")
    print_ = gpg("--with-colons", "--list-keys").stdout.decode()
    fingerprint = re.search(r"^fpr:+(\w+):", print_, re.M)[1]
    gpg("--quick-add-key", fingerprint, "cv25519", "encr", "never")

    signature = gpg("--armor", "--detach-sign", "--digest-algo", "SHA256", stdin=MIXED).stdout.replace(b"\n", b"\r\n")
    signed = (HEAD + b'Content-Type: multipart/signed; micalg=pgp-sha256;\r\n protocol="application/pgp-signature"; boundary="sig"\r\n\r\n'
              b'A preamble.\r\n--sig\r\n' + MIXED + b'\r\n--sig\r\nContent-Type: application/pgp-signature; name="signature.asc"\r\n\r\n'
              + signature + b'\r\n--sig--\r\n')
    pass_through("PGP/MIME signed", signed, check_pgp_mime, gpg)

    armour = gpg("--armor", "--encrypt", "-r", fingerprint, stdin=MIXED).stdout.replace(b"\n", b"\r\n")
    encrypted = (HEAD + b'Content-Type: multipart/encrypted;\r\n protocol="application/pgp-encrypted"; boundary="enc"\r\n\r\n'
                 b'--enc\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--enc\r\n'
                 b'Content-Type: application/octet-stream; name="encrypted.asc"\r\n\r\n' + armour + b'\r\n--enc--\r\n')
    pass_through("PGP/MIME encrypted", encrypted, check_pgp_encrypted, gpg)
    pass_through("PGP armour, encrypted", HEAD + b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + armour, check_armour, gpg)

    clear = gpg("--clear-sign", stdin="Grüße\n\n- a list\nFrom here  \n-- \nAnna\n".encode()).stdout.replace(b"\n", b"\r\n")
    pass_through("PGP clear-signed, 8bit", HEAD + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + clear, check_inline, gpg)
    pass_through("PGP clear-signed, base64", HEAD + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                 + base64.encodebytes(clear).replace(b"\n", b"\r\n"), check_inline, gpg)

    key, certificate = str(WORK / "smime.key"), str(WORK / "smime.crt")
    command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "30",
            "-subj", "/CN=Anna Berg/emailAddress=anna.berg@example.org", "-addext", "keyUsage=digitalSignature,keyEncipherment",
            "-addext", "extendedKeyUsage=emailProtection", "-addext", "subjectAltName=email:anna.berg@example.org")
    sign = ("openssl", "cms", "-sign", "-signer", certificate, "-inkey", key, "-binary", "-crlfeol", "-outform", "SMIME")
    crlf = lambda text: re.sub(rb"\r?\n", b"\r\n", text)
    made = command(*sign, stdin=MIXED).stdout
    pass_through("S/MIME multipart/signed", crlf(HEAD.replace(b"MIME-Version: 1.0\r\n", b"") + made), check_smime(certificate), gpg)
    made = command(*sign, "-nodetach", stdin=MIXED).stdout
    pass_through("S/MIME opaque", crlf(HEAD.replace(b"MIME-Version: 1.0\r\n", b"") + made), check_smime(certificate), gpg)
    made = command("openssl", "cms", "-encrypt", "-aes256", "-binary", "-outform", "SMIME", certificate, stdin=MIXED).stdout
    pass_through("S/MIME encrypted", crlf(HEAD.replace(b"MIME-Version: 1.0\r\n", b"") + made), check_smime_encrypted(key, certificate), gpg)
    gpg.close()
    return signed


# --- DKIM --------------------------------------------------------------------------------------------------------------


def dkim_holds(raw, records, index=0):
    def dns(name, timeout=5):
        return records.get((name.decode() if isinstance(name, bytes) else name).rstrip("."))

    try:
        return dkim.DKIM(raw).verify(idx=index, dnsfunc=dns)
    except dkim.DKIMException:
        return False


def dkim_fields(raw):
    return [value for name, value in email.message_from_bytes(raw).items() if name.lower() == "dkim-signature"]


def other_fields(raw):
    return [(name, value) for name, value in email.message_from_bytes(raw).items()
            if name.lower() != "dkim-signature" and not name.lower().startswith(("content-", "mime-"))]


def pass_dkim(name, raw, records, index=0):
    """One DKIM-signed mail that rules may edit."""
    assert dkim_holds(raw, records, index), "the signature does not hold as it came"
    for rule in ("elsewhere", "dkim-skip"):
        out = through(rule, raw)
        assert out == raw and dkim_holds(out, records, index), f"changed with {rule}"
    out = through("dkim-edit", raw)
    assert len(dkim_fields(out)) == len(dkim_fields(raw)) and texts(out), "not edited"
    assert not dkim_holds(out, records, index), "dkimpy says that anything is good"
    out = through("dkim-strip", raw)
    assert not dkim_fields(out) and texts(out), "not edited, or the signature is still there"
    assert other_fields(out) == other_fields(raw), "another field changed"
    print(f"ok: {name}")


def dkim_mails(signed):
    logging.getLogger("dkimpy").setLevel(logging.CRITICAL)
    records = {path.name.removesuffix(".txt").removeprefix("dkim-"): path.read_bytes().strip()
               for path in (MAILS / "keys").glob("dkim-*.txt")}
    for name in ("dkim-rsa-relaxed", "dkim-simple-simple"):
        pass_dkim(name, (MAILS / f"{name}.eml").read_bytes(), records)
    raw = (MAILS / "dkim-rsa-and-ed25519.eml").read_bytes()
    pass_dkim("dkim-rsa-and-ed25519", raw, records, ["rsa" in field for field in dkim_fields(raw)].index(True))

    key = command("openssl", "genrsa", "2048").stdout
    public = command("openssl", "rsa", "-pubout", "-outform", "DER", stdin=key).stdout
    records = {"fresh._domainkey.example.org": b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)}
    plain = HEAD + TEXT
    for canonical in ((b"simple", b"simple"), (b"relaxed", b"relaxed")):
        for kind, mail in (("text", plain), ("mixed", HEAD + MIXED)):
            field = dkim.sign(mail, b"fresh", b"example.org", key, canonicalize=canonical)
            pass_dkim(f"DKIM {b'/'.join(canonical).decode()}, {kind}", field + mail, records)

    # Both seals at once: PGP holds below DKIM.
    field = dkim.sign(signed, b"fresh", b"example.org", key, canonicalize=(b"simple", b"simple"))
    for rule in ("skip", "dkim-strip", "dkim-skip"):
        out = through(rule, field + signed)
        assert out == field + signed and dkim_holds(out, records), f"changed with {rule}"
    out = through("wrap", field + signed)
    assert len(texts(out)) == 1 and not dkim_holds(out, records), "not wrapped"
    print("ok: DKIM around PGP/MIME")


os.umask(0o077)
corpus()
dkim_mails(fresh())
