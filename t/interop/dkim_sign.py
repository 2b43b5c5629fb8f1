"""Mails of the corpus that dkim_sign signs after each plugin that edits: dkimpy and Mail::DKIM must verify both signatures, and refuse
the same mail with one more octet in its body or in a field.

What they refuse although it was not changed is listed in ODD, each with the reason why the mail, and not the signature, is the cause.

usage: dkim_sign.py MIMICRYD MAILS WORK
"""

import base64
import email
import email.utils
import os
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import dkim

MIMICRYD, MAILS, WORK = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
HERE = pathlib.Path(__file__).parent

# Mails that a verifier cannot read.
ODD = {
    ("structure-blank-before-colon.eml", "dkimpy"): "it knows no blank between the name and the colon (RFC 5322 section 4.5)",
    ("header-no-blank-line-body-follows.eml", "dkimpy"): "the header has a line that is no field, where others begin the body",
    ("header-no-blank-line-body-follows.eml", "Mail::DKIM"): "the same",
}

EDITS = {
    "none": "",
    "disclaim": 'plugin = "disclaim"\nmatch = { bulk = [true, false] }\non_sealed = "wrap"\n'
                'options = { text = "-- us –", html = "<p>us –</p>" }',
    "banner": 'plugin = "banner"\nmatch = { bulk = [true, false] }\non_sealed = "wrap"\n'
              'options = { text = "From outside", html = "<p>From outside</p>", subject_tag = "[EXT]" }',
    "header": 'plugin = "header"\noptions = { add = { X-Company = "Exämple" }, prefix_subject = "[x]", force = true }',
    "zip": 'plugin = "zip"\noptions = { name = "all.zip" }',
    "tar_gzip": 'plugin = "tar_gzip"\noptions = { name = "all.tar.gz" }',
    "tar_bzip2": 'plugin = "tar_bzip2"\noptions = { name = "all.tar.bz2" }',
    "remove": 'plugin = "remove"\noptions = { note = "text" }',
}


def command(*words, stdin=b""):
    done = subprocess.run(words, input=stdin, capture_output=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}: exit {done.returncode}: {done.stderr.decode('utf-8', 'replace')[-600:]}")
    return done.stdout


def author(raw):
    """The domain that must sign; None if the mail has not exactly one author whom everybody reads alike."""
    header = re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[0]
    fields = re.findall(rb"(?im)^from[ \t]*:(.*(?:\r?\n[ \t].*)*)", header)
    if len(fields) != 1:
        return None
    addresses = [address for _, address in email.utils.getaddresses([fields[0].decode("utf-8", "replace")])]
    domain = addresses[0].rpartition("@")[2].lower() if addresses else ""
    return domain if re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", domain) else None


def keys():
    """The keys, and what the DNS has of them."""
    command("openssl", "genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out", WORK / "r.pem")
    command("openssl", "genpkey", "-algorithm", "ed25519", "-out", WORK / "e.pem")
    public = lambda name: command("openssl", "pkey", "-in", WORK / name, "-pubout", "-outform", "DER")
    encode = lambda octets: base64.b64encode(octets).decode()
    os.chmod(WORK / "r.pem", 0o600)
    os.chmod(WORK / "e.pem", 0o600)
    return {"r": f"v=DKIM1; k=rsa; p={encode(public('r.pem'))}", "e": f"v=DKIM1; k=ed25519; p={encode(public('e.pem')[-32:])}"}


def config(name, edit, domains):
    table = ", ".join(f'"{domain}" = ["r.pem", "e.pem"]' for domain in sorted(domains))
    rule = f'[[rule]]\nname = "edit"\n{edit}\n' if edit else ""
    (WORK / f"{name}.toml").write_text(
        '[[listen]]\nname = "in"\naddress = "127.0.0.1:10025"\n[relay]\nnext_hop = "smtp://127.0.0.1:10026"\n' + rule
        + f'[[rule]]\nname = "sign"\nplugin = "dkim_sign"\nmatch = {{ client = ["127.0.0.1"] }}\noptions.keys = {{ {table} }}\n', encoding="utf-8")


def more(raw):
    """The same mail with one more octet, in its body and in its From."""
    body = raw + b"x\r\n"
    at = re.search(rb"(?im)^from[ \t]*:.*", raw).end()
    at -= raw[at - 1:at] == b"\r"
    return {"body": body, "from": raw[:at] + b"x" + raw[at:]}


def by_dkimpy(raw, records):
    lookup = lambda name, timeout=5: records.get(name.decode().rstrip(".").partition("._domainkey.")[0].lower(), "").encode() or None
    results = []
    for index in (0, 1):
        try:
            results.append("pass" if dkim.DKIM(raw, minkey=1024).verify(idx=index, dnsfunc=lookup) else "fail")
        except Exception as error:  # whatever it is, it does not verify
            results.append(f"fail: {type(error).__name__}: {error}")
    return results


def arc(records):
    """Three hops that edit and seal, each after a verifier that believes the one before: what is wrong with their chains."""
    mail = (b"Authentication-Results: mx.example.org; spf=pass smtp.mailfrom=example.net; dkim=pass (good) header.d=example.net\r\n"
            b"From: a@example.net\r\nSubject: x\r\nDate: Fri, 22 Mar 2024 07:00:00 +0000\r\nMessage-ID: <arc@example.net>\r\n"
            b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe \r\n")
    wrong, files = [], {}
    for hop in (1, 2, 3):
        (WORK / "arc.toml").write_text(
            '[[listen]]\nname = "in"\naddress = "127.0.0.1:10025"\n[relay]\nnext_hop = "smtp://127.0.0.1:10026"\n'
            f'[[rule]]\nname = "f"\nplugin = "disclaim"\noptions = {{ text = "hop {hop}", html = "<p>hop {hop}</p>" }}\n'
            f'[[rule]]\nname = "s"\nplugin = "arc_seal"\noptions = {{ keys = {{ "hop{hop}.example" = "r.pem" }}, trusted_authserv = "mx.example.org" }}\n')
        mail = command(MIMICRYD, "filter", "-c", WORK / "arc.toml", "--from", "a@example.net", "--to", "b@example.org", stdin=mail)
        for kind, octets in {"": mail, **more(mail)}.items():
            path = WORK / "m" / f"arc{hop}{kind}"
            path.write_bytes(octets)
            lookup = lambda name, timeout=5: records["r"].encode()
            files[str(path)] = (hop, kind)
            result = dkim.ARC(octets).verify(dnsfunc=lookup)
            if (result[0] == b"pass") != (kind == ""):
                wrong.append(f"dkimpy: arc {hop} {kind}: {result[0]} {result[2]}")
        mail = b"Authentication-Results: mx.example.org; arc=pass (as seen)\r\n" + mail
    with open(WORK / "records", "a") as out:
        out.writelines(f"r._domainkey.hop{hop}.example\t{records['r']}\n" for hop in (1, 2, 3))
    said = command("perl", HERE / "dkim_sign.pl", WORK / "records", "arc", stdin="\n".join(files).encode())
    for line in said.decode().splitlines():
        path, result = line.split("\t")
        hop, kind = files[path]
        if (result == "pass") != (kind == ""):
            wrong.append(f"Mail::DKIM: arc {hop} {kind}: {result}")
    return wrong


def main():
    # A lone CR is a blank, as the daemon makes it.
    mails = {path.name: re.sub(rb"\r(?!\n)", b" ", path.read_bytes()) for path in sorted(MAILS.glob("*.eml"))}
    domains = {name: author(raw) for name, raw in mails.items()}
    signed_by = {name: domain for name, domain in domains.items() if domain}
    records = keys()
    for name, edit in EDITS.items():
        config(name, edit, set(signed_by.values()))
    with open(WORK / "records", "w") as out:
        for domain in set(signed_by.values()):
            for selector, text in records.items():
                out.write(f"{selector}._domainkey.{domain}\t{text}\n")

    def through(job):
        edit, name = job
        raw = command(MIMICRYD, "filter", "-c", WORK / f"{edit}.toml", "--client", "127.0.0.1", "--from", "anna@example.org",
                      "--to", "tom@example.net", stdin=mails[name])
        # As it goes out by SMTP.
        return re.sub(rb"\r?\n", b"\r\n", raw)

    jobs = [(edit, name) for edit in EDITS for name in signed_by]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(through, jobs))

    wrong, files, edited = [], {}, dict.fromkeys(EDITS, 0)
    (WORK / "m").mkdir()
    for number, ((edit, name), raw) in enumerate(zip(jobs, results)):
        if raw.count(b"DKIM-Signature:") < 2:
            wrong.append(f"{edit} {name}: not signed for {signed_by[name]}")
            continue
        before = re.sub(rb"\r?\n", b"\r\n", mails[name])
        edited[edit] += not raw.endswith(before)
        # What a verifier makes of an octet more does not depend on the plugin.
        for kind, octets in {"": raw, **(more(raw) if edit == "disclaim" else {})}.items():
            path = WORK / "m" / f"{number}{kind}"
            path.write_bytes(octets)
            files[str(path)] = (edit, name, kind, by_dkimpy(octets, records))
    said = command("perl", HERE / "dkim_sign.pl", WORK / "records", stdin="\n".join(files).encode())
    for line in said.decode("utf-8", "replace").splitlines():
        path, *by_perl = line.split("\t")
        edit, name, kind, by_python = files[path]
        for who, found in (("dkimpy", by_python), ("Mail::DKIM", by_perl)):
            # An older Mail::DKIM knows no Ed25519.
            known = [one for one in found if not (who == "Mail::DKIM" and one in ("unknown", "invalid"))]
            good = bool(known) and all((one == "pass") == (kind == "") for one in known)
            if not good and (name, who) not in ODD:
                wrong.append(f"{who}: {edit} {name} {kind or 'as signed'}: {' | '.join(found)}")
    wrong += arc(records)
    for line in wrong[:40]:
        print(line)
    assert not wrong, f"{len(wrong)} of {len(files)} are wrong"
    for edit, count in edited.items():
        assert count or edit == "none", f"no mail was edited by {edit}"
    print(f"{len(jobs)} signed mails of {len(signed_by)} mails, each verified by dkimpy and Mail::DKIM, and refused with one more octet; edited: {edited}")


main()
