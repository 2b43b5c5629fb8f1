"""Mails of the corpus that pgp_sign and pgp_encrypt seal after a footer: what other programs open and verify is what the rules made.
gpg reads each, sqop and RNP one in four. Mails with a CR alone are left out: they come by no SMTP, and only `filter` takes them.

usage: pgp.py MIMICRYD MAILS KEYS WORK
"""

import email
import pathlib
import quopri
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from split import crlf, split

MIMICRYD, MAILS, KEYS, WORK = sys.argv[1], *map(pathlib.Path, sys.argv[2:5])

FOOTER = """[[rule]]
name = "footer"
plugin = "disclaim"
match = { bulk = [true, false] }
options = { text = "-- us", html = "<p>us</p>" }
"""
ENCRYPT = f"""[[rule]]
name = "encrypt"
plugin = "pgp_encrypt"
[rule.options]
keys = ["{KEYS}"]
hide_subject = true
sign_keys = {{ "example.org" = "{WORK}/anna.secret.asc" }}
"""
SIGN = f"""[[rule]]
name = "sign"
plugin = "pgp_sign"
match = {{ client = "0.0.0.0/0" }}
options.keys = {{ "example.org" = "{WORK}/anna.secret.asc" }}
"""


def command(*words, stdin=b"", fails=False):
    done = subprocess.run(words, input=stdin, capture_output=True, timeout=300)
    if done.returncode != 0 and not fails:
        raise AssertionError(f"{' '.join(map(str, words))}: exit {done.returncode}: {done.stderr.decode('utf-8', 'replace')[-900:]}")
    return done


def body(octets):
    """What stands below the header."""
    return octets.partition(b"\r\n\r\n")[2] if not octets.startswith(b"\r\n") else octets[2:]


def decoded(part):
    """Blanks at the end of a line of quoted-printable are of a transport (RFC 2045 section 6.7); Python takes them for content."""
    if part.get("content-transfer-encoding", "").strip().lower() != "quoted-printable":
        return part.get_payload(decode=True) or b""
    text = part.get_payload().encode("ascii", "surrogateescape")
    return quopri.decodestring(re.sub(rb"[ \t]+(?=\r?\n|$)", b"", text))


def contents(octets):
    """The content of each leaf, decoded."""
    parts = [part for part in email.message_from_bytes(octets).walk() if not part.is_multipart()]
    return [crlf(decoded(part)).rstrip(b"\r\n") for part in parts]


def config(name, rules):
    path = WORK / f"{name}.toml"
    path.write_text(rules)
    return path


def made(name, mail, *recipients):
    """What the rules make of a mail of anna@example.org."""
    to = [word for one in recipients or ("bo@example.com",) for word in ("--to", one)]
    words = (MIMICRYD, "filter", "-c", WORK / f"{name}.toml", "--from", "anna@example.org", "--client", "127.0.0.1", *to)
    return crlf(command(*words, stdin=mail).stdout)


def outer_is_one(octets, kind):
    """Exactly one Content-Type outside, and of the others none (RFC 3156)."""
    header = octets.partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0].strip().lower() for line in header.split(b"\r\n") if line[:1] not in b" \t"]
    assert names.count(b"content-type") == 1 and names.count(b"mime-version") == 1, names
    assert not [name for name in names if name.startswith(b"content-") and name != b"content-type"], names
    assert email.message_from_bytes(octets).get_content_type() == kind


def armour(octets):
    return octets[octets.index(b"-----BEGIN PGP MESSAGE"):octets.index(b"-----END PGP MESSAGE-----") + 25] + b"\r\n"


def is_for_others(octets):
    """Is it one of those that not only gpg reads."""
    return len(octets) % 4 == 0


def opened(octets):
    """By gpg, and by sqop and RNP where they are."""
    text = armour(octets)
    done = command("gpg", "--batch", "--no-tty", "--status-fd", "2", "--decrypt", stdin=text)
    found = {"gpg": done.stdout}
    if shutil.which("sqop") and is_for_others(text):
        found["sqop"] = command("sqop", "decrypt", KEYS / "bo.secret.asc", stdin=text).stdout
    # RNP does not try its keys where none is named.
    if shutil.which("rnp") and is_for_others(text) and b"anonymous recipient" not in done.stderr:
        home = WORK / "rnp"
        found["rnp"] = command("rnp", "--homedir", home, "--decrypt", "-", "--output", "-", stdin=text).stdout
    assert len(set(found.values())) == 1, "the programs find different contents"
    return found["gpg"], b"GOODSIG" in done.stderr


def encrypted(mail):
    plain, sealed = made("footer", mail), made("encrypt", mail)
    if sealed == plain:
        return "left as it is"
    outer_is_one(sealed, "multipart/encrypted")
    inner, signed = opened(sealed)
    assert body(inner) == body(plain), "what is inside is not what the rules made"
    return "signed within" if signed else "encrypted"


def signed(mail):
    plain, sealed = made("footer", mail), made("sign", mail)
    if sealed == plain:
        return "left as it is"
    outer_is_one(sealed, "multipart/signed")
    path = WORK / f"{abs(hash(mail))}"
    head, inner = split(sealed, path)
    done = command("gpg", "--batch", "--no-tty", "--status-fd", "1", "--verify", path.with_suffix(".asc"), path)
    assert b"GOODSIG" in done.stdout
    micalg = re.search(rb"micalg=([a-z0-9-]+)", head).group(1)
    # VALIDSIG fingerprint day time expiry version reserved key-algorithm hash-algorithm
    hashed = done.stdout.partition(b"VALIDSIG ")[2].split()[7]
    assert micalg == {b"8": b"pgp-sha256", b"9": b"pgp-sha384", b"10": b"pgp-sha512"}[hashed], (micalg, hashed)
    if shutil.which("sqop") and is_for_others(inner):
        command("sqop", "verify", path.with_suffix(".asc"), KEYS / "anna.asc", stdin=inner)
    assert contents(inner) == contents(plain) or body(inner) == body(plain), "what is signed is not what the rules made"
    path.write_bytes(inner + b"x")
    assert command("gpg", "--batch", "--verify", path.with_suffix(".asc"), path, fails=True).returncode != 0
    return "signed"


BAD = {
    "expired@example.com": "the key of expired@example.com expired on 2026-06-01",
    "subexpired@example.com": "the key of subexpired@example.com has an encryption key that expired on 2026-06-01",
    "signonly@example.com": "the key of signonly@example.com is only for signatures; its owner adds one to encrypt to with gpg --quick-add-key",
    "revoked@example.com": "the key of revoked@example.com was revoked",
    "sha1@example.com": "the key of sha1@example.com is bound by SHA-1, which is not accepted (accept_sha1)",
    "nobody@example.com": "there is no key of nobody@example.com",
}


def bad_keys():
    mail = b"From: anna@example.org\r\nTo: a@example.com\r\n\r\nx\r\n"
    for recipient, why in BAD.items():
        words = (MIMICRYD, "filter", "-c", WORK / "encrypt.toml", "--from", "anna@example.org", "--to", recipient)
        done = command(*words, stdin=mail, fails=True)
        said = f"mail to {recipient} must be encrypted, and {why}"
        assert done.returncode != 0 and not done.stdout and said in done.stderr.decode(), (recipient, done.stderr)


def secret_copies():
    mail = b"From: anna@example.org\r\nTo: bo@example.com\r\n\r\nx\r\n"
    for recipients, named in ((("bo@example.com",), True), (("bo@example.com", "anna@example.org"), False)):
        text = armour(made("encrypt", mail, *recipients))
        packets = command("gpg", "--batch", "--list-packets", stdin=text, fails=True).stdout
        ids = set(re.findall(rb"pubkey enc packet:.*keyid ([0-9A-F]+)", packets))
        assert (ids != {b"0" * 16}) == named and ids, (recipients, ids)


def main():
    (WORK / "anna.secret.asc").write_bytes((KEYS / "anna.secret.asc").read_bytes())
    (WORK / "anna.secret.asc").chmod(0o600)
    config("footer", FOOTER)
    config("encrypt", FOOTER + ENCRYPT)
    config("sign", FOOTER + SIGN)
    if shutil.which("rnp"):
        (WORK / "rnp").mkdir(0o700)
        command("rnpkeys", "--homedir", WORK / "rnp", "--import-keys", KEYS / "bo.secret.asc", fails=True)
    bad_keys()
    secret_copies()
    mails = [path for path in sorted(MAILS.glob("*.eml")) if not re.search(rb"\r(?!\n)", path.read_bytes())]
    wrong, counts = [], {}

    def both(path):
        mail = path.read_bytes()
        header = re.split(rb"\r?\n\r?\n", mail, maxsplit=1)[0]
        if len(re.findall(rb"(?im)^from:", header)) > 1:
            # Nobody's key: such a mail is refused.
            words = (MIMICRYD, "filter", "-c", WORK / "sign.toml", "--from", "anna@example.org", "--client", "127.0.0.1", "--to", "bo@example.com")
            done = command(*words, stdin=mail, fails=True)
            yield "of two authors" if b"From fields, and readers would not agree" in done.stderr else f"{path.name}: {done.stderr}"
            return
        # Each is Anna's, so that there is a key that signs.
        mail = re.sub(rb"(?im)^from:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*", b"From: anna@example.org", mail, count=1)
        if not re.match(rb"(?is)(?:[^\r\n]+\r?\n)*?from:", mail):
            mail = b"From: anna@example.org\r\n" + mail
        mail = re.sub(rb"(?im)^to:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*", b"To: bo@example.com", mail, count=1)
        for act in (encrypted, signed):
            try:
                yield act(mail)
            except Exception as error:  # of whatever kind: it names its mail
                yield f"{path.name}: {act.__name__}: {error}"

    with ThreadPoolExecutor(2) as pool:
        for results in pool.map(lambda path: list(both(path)), mails):
            for result in results:
                if ".eml: " in result:
                    wrong.append(result)
                else:
                    counts[result] = counts.get(result, 0) + 1
    print(f"{len(mails)} mails: " + ", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
    for line in wrong:
        print(line)
    return bool(wrong) or counts.get("signed", 0) < 100 or counts.get("encrypted", 0) + counts.get("signed within", 0) < 100


sys.exit(main())
