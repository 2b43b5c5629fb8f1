"""What smime_sign and smime_encrypt make of mails (`mimicryd filter`), verified and decrypted by openssl and gpgsm.

Keys and certificates are made here, with openssl: a root, an issuer below it, Anna who signs, three recipients, and each kind of bad one.

usage: smime.py MIMICRYD MAILS WORK
"""

import email
import email.policy
import pathlib
import subprocess
import sys

MIMICRYD, MAILS, WORK = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
HEAD = b"From: Anna <anna.berg@example.org>\r\nTo: someone\r\nSubject: plan\r\nMessage-ID: <p@example.org>\r\nMIME-Version: 1.0\r\n"
# What a hop of 7 bits, or a careless one, would change.
MAIL = HEAD + ("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
               "Grüße \r\nFrom here\r\n.\r\n-- \r\nAnna\r\n").encode()


def command(*words, stdin=b"", code=0):
    done = subprocess.run([str(word) for word in words], input=stdin, capture_output=True, timeout=120, cwd=WORK)
    if code is not None and done.returncode != code:
        raise AssertionError(f"{' '.join(map(str, words))}: exit {done.returncode}: {done.stderr.decode('utf-8', 'replace')[-800:]}")
    return done


def openssl(*words, **more):
    return command("openssl", *words, **more)


# --- certificates ------------------------------------------------------------------------------------------------------

EMAIL = "extendedKeyUsage=emailProtection"
USAGE = {"rsa": "digitalSignature,keyEncipherment", "ec": "keyAgreement"}


def key(name, kind):
    options = {"rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
               "ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
               "short": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]}
    openssl("genpkey", *options[kind], "-out", f"{name}.key")


def certificate(name, kind, issuer, extensions, days=("-days", "3000"), digest="-sha256"):
    key(name, kind)
    (WORK / f"{name}.cnf").write_text("[req]\ndistinguished_name=dn\n[dn]\n[x]\n" + "\n".join(extensions) + "\n")
    openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-config", f"{name}.cnf", "-out", f"{name}.csr")
    by = ["-signkey", f"{name}.key"] if issuer is None else ["-CA", f"{issuer}.crt", "-CAkey", f"{issuer}.key", "-CAcreateserial"]
    openssl("x509", "-req", "-in", f"{name}.csr", *by, *days, digest, "-extfile", f"{name}.cnf", "-extensions", "x", "-out", f"{name}.crt")


def person(name, kind, address, usage=None, purpose=EMAIL, issuer="issuer", **more):
    usage = usage or USAGE.get(kind, USAGE["rsa"])
    certificate(name, kind, issuer, [f"keyUsage=critical,{usage}", purpose, f"subjectAltName=email:{address}"], **more)


CA = ["basicConstraints=critical,CA:true", "keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=hash"]
certificate("root", "rsa", None, CA)
certificate("issuer", "rsa", "root", CA)
certificate("evil", "rsa", None, CA)
person("anna", "rsa", "anna.berg@example.org", "digitalSignature")
person("annaec", "ec", "anna.berg@example.org", "digitalSignature")
for name in ("anna", "annaec"):
    (WORK / f"{name}.pem").write_bytes(b"".join((WORK / part).read_bytes() for part in (f"{name}.key", f"{name}.crt", "issuer.crt", "root.crt")))
    (WORK / f"{name}.pem").chmod(0o600)

RECIPIENTS = {"bob": "rsa", "eve": "ec", "tom": "rsa"}
(WORK / "partners").mkdir()


def partner(name):
    (WORK / "partners" / f"{name}.pem").write_bytes((WORK / f"{name}.crt").read_bytes())


partner("issuer")
for name, kind in RECIPIENTS.items():
    person(name, kind, f"{name}@partner.example")
    partner(name)

# --- mimicry -----------------------------------------------------------------------------------------------------------

TOP = '[[listen]]\nname = "in"\naddress = "127.0.0.1:10025"\n[relay]\nnext_hop = "smtp://127.0.0.1:10026"\n'


def sign(name, more=""):
    return ('[[rule]]\nname = "sign"\nplugin = "smime_sign"\nmatch.sender = "."\n[rule.options]\n'
            f'keys = {{ "anna.berg@example.org" = "{name}.pem" }}\n{more}\n')


def encrypt(cipher="aes-256-cbc", more=""):
    return ('[[rule]]\nname = "encrypt"\nplugin = "smime_encrypt"\n[rule.options]\n'
            f'certificates = "partners"\nca_file = "root.crt"\ncipher = "{cipher}"\n{more}\n')


def through(rules, raw, to, code=0):
    (WORK / "m.toml").write_text(TOP + rules)
    names = [word for each in to for word in ("--to", each)]
    return command(MIMICRYD, "filter", "-c", "m.toml", "--from", "anna.berg@example.org", *names, stdin=raw, code=code)


# --- signatures --------------------------------------------------------------------------------------------------------

GPG = WORK / "g"
GPG.mkdir(mode=0o700)
(GPG / "gpgsm.conf").write_text("disable-crl-checks\nbatch\n")
(GPG / "gpg-agent.conf").write_text("allow-loopback-pinentry\n")


def gpgsm(*words, **more):
    return command("gpgsm", "--homedir", GPG, "--batch", "--no-tty", "--pinentry-mode", "loopback", *words, **more)


def fingerprint(name):
    said = openssl("x509", "-in", f"{name}.crt", "-noout", "-fingerprint", "-sha1").stdout.decode()
    return said.strip().split("=")[1]


(GPG / "trustlist.txt").write_text(f"{fingerprint('root')} S relax\n")


def split(raw):
    """The signed part, octet for octet, and the signature of a multipart/signed."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert message.get_content_type() == "multipart/signed", message.get_content_type()
    assert message["Content-Type"].params["micalg"] == "sha-256"
    for field in ("Content-Type", "MIME-Version"):
        assert len(message.get_all(field)) == 1, field
    assert message["Content-Transfer-Encoding"] is None
    boundary = message.get_boundary().encode()
    first = raw.split(b"--" + boundary + b"\r\n")[1]
    signature = message.get_payload()[1]
    assert signature.get_content_type() == "application/pkcs7-signature" and signature.get_filename() == "smime.p7s"
    return first[:-2], signature.get_payload(decode=True)


def verifies(raw):
    """By openssl with the root alone, and by gpgsm."""
    (WORK / "mail").write_bytes(raw)
    openssl("cms", "-verify", "-in", "mail", "-CAfile", "root.crt", "-purpose", "smimesign", "-out", "content")
    data, signature = split(raw)
    (WORK / "data").write_bytes(data)
    (WORK / "signature").write_bytes(signature)
    said = gpgsm("--verify", "signature", "data").stderr.decode()
    assert "Good signature" in said, said


def breaks(raw):
    """With another octet it does not verify."""
    data, signature = split(raw)
    (WORK / "data").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (WORK / "signature").write_bytes(signature)
    assert gpgsm("--verify", "signature", "data", code=None).returncode != 0, "another octet and still good"


gpgsm("--import", stdin=(WORK / "root.crt").read_bytes())
for name in ("anna", "annaec"):
    signed = through(sign(name), MAIL, ["bob@partner.example"]).stdout
    verifies(signed)
    breaks(signed)
    assert signed.isascii(), "8 bits are signed"
corpus, eight = 0, 0
for path in sorted(MAILS.glob("*.eml")):
    raw = path.read_bytes()
    # No such octet comes by SMTP.
    if b"\r" in raw.replace(b"\r\n", b"") or b"\0" in raw:
        continue
    out = through(sign("annaec"), raw, ["bob@partner.example"], code=None)
    if out.returncode == 0 and b"smime.p7s" in out.stdout and b"smime.p7s" not in raw:
        verifies(out.stdout)
        corpus += 1
        # What cannot be coded without harm, such as text within an attached message, is signed as it is.
        eight += not split(out.stdout)[0].isascii()
assert corpus >= 50 and eight < corpus / 5, (corpus, eight)
opaque = through(sign("anna", "opaque = true"), MAIL, ["bob@partner.example"]).stdout
assert b"smime-type=signed-data" in opaque
(WORK / "mail").write_bytes(opaque)
openssl("cms", "-verify", "-in", "mail", "-CAfile", "root.crt", "-purpose", "smimesign", "-out", "content")
print(f"ok: signatures verify with the root alone, by openssl and gpgsm: RSA, EC, opaque, {corpus} mails of the corpus, {eight} of them with 8 bits")

# --- encryption --------------------------------------------------------------------------------------------------------

# GnuPG 2.2 reads neither what OpenSSL 3 writes by default nor keys for EC.
for name in ("bob", "tom"):
    openssl("pkcs12", "-export", "-inkey", f"{name}.key", "-in", f"{name}.crt", "-certfile", "issuer.crt", "-passout", "pass:x",
            "-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1", "-out", f"{name}.p12")
    gpgsm("--passphrase-fd", "0", "--import", f"{name}.p12", stdin=b"x\n")


def inside(raw, name):
    """Decrypted by openssl."""
    (WORK / "mail").write_bytes(raw)
    openssl("cms", "-decrypt", "-in", "mail", "-inkey", f"{name}.key", "-recip", f"{name}.crt", "-out", "content")
    return (WORK / "content").read_bytes()


def body(octets):
    return octets.split(b"\r\n\r\n", 1)[1]


by_gpgsm = 0
names = list(RECIPIENTS)
for cipher, smime_type in (("aes-256-cbc", "enveloped-data"), ("aes-256-gcm", "authEnveloped-data"), ("aes-128-gcm", "authEnveloped-data")):
    for who in (names[:1], names[1:2], names[:2], names):
        to = [f"{name}@partner.example" for name in who]
        # Whom the header does not name would get a copy of his own.
        raw = through(encrypt(cipher), MAIL.replace(b"To: someone", f"To: {', '.join(to)}".encode()), to).stdout
        message = email.message_from_bytes(raw, policy=email.policy.default)
        assert message["Content-Type"].params["smime-type"] == smime_type, message["Content-Type"]
        assert "Grüße".encode() not in raw
        for name in who:
            assert body(inside(raw, name)) == body(MAIL), (cipher, name)
            (WORK / "der").write_bytes(message.get_payload(decode=True))
            done = gpgsm("--passphrase-fd", "0", "--decrypt", "der", stdin=b"x\n", code=None)
            if done.returncode == 0:
                assert body(done.stdout) == body(MAIL), (cipher, name)
                by_gpgsm += 1
            else:
                # It knows no GCM either.
                assert "gcm" in cipher or RECIPIENTS[name] == "ec", done.stderr.decode()
assert by_gpgsm >= 4, by_gpgsm
print(f"ok: RSA and EC, CBC and GCM, one to three recipients: openssl decrypts for each, gpgsm {by_gpgsm} times")

both = through(sign("anna") + encrypt(), MAIL, ["bob@partner.example"]).stdout
(WORK / "inner").write_bytes(inside(both, "bob"))
openssl("cms", "-verify", "-in", "inner", "-CAfile", "root.crt", "-purpose", "smimesign", "-out", "content")
again = through(sign("anna") + encrypt(), both, ["bob@partner.example"]).stdout
assert again == both, "sealed twice"
print("ok: signed, then encrypted, in two layers, and not twice")

# --- bad certificates --------------------------------------------------------------------------------------------------

BAD = {
    "old": (dict(kind="rsa", days=("-days", "-1")), "the certificate of NAME expired on "),
    "signs": (dict(kind="rsa", usage="digitalSignature"), "the certificate of NAME may not be encrypted to: its key usage lacks keyEncipherment"),
    "curve": (dict(kind="ec", usage="digitalSignature"), "the certificate of NAME may not be encrypted to: its key usage lacks keyAgreement"),
    "web": (dict(kind="rsa", purpose="extendedKeyUsage=serverAuth"), "the certificate of NAME is not for e-mail: its extended key usage lacks emailProtection"),
    "foreign": (dict(kind="rsa", issuer="evil"), "the certificate of NAME was issued by evil, which is not trusted"),
    "sha1": (dict(kind="rsa", digest="-sha1"), "the certificate of NAME does not hold: CA signature digest algorithm too weak"),
    "short": (dict(kind="short"), "the certificate of NAME has a key that is too weak (rsa 1024)"),
    "nobody": (None, "there is no certificate of NAME"),
}
for name, (how, why) in BAD.items():
    address = f"{name}@partner.example"
    why = why.replace("NAME", address)
    if how is not None:
        person(name, how.pop("kind"), address, **how)
        partner(name)
    done = through(encrypt(), MAIL, [address], code=None)
    said = done.stderr.decode() + done.stdout.decode("utf-8", "replace")
    assert done.returncode != 0 and f"mail to {address} must be encrypted, and {why}" in said, (name, said)
    assert b"Anna\r\n" not in done.stdout, name
print(f"ok: {len(BAD)} bad certificates, each refused with its reason")
command("gpgconf", "--homedir", GPG, "--kill", "gpg-agent", code=None)
