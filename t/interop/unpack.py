"""Mail with attachments through `mimicryd filter` with zip, tar_gzip and tar_bzip2; other programs unpack the archives.

The names that members must have are written here by hand. Unpacked are all archives by Info-ZIP unzip, 7-Zip, bsdtar and GNU
tar, each where it knows the format, and by Python's zipfile and tarfile, which also show modes, owners and times; Info-ZIP zip
tests the zips.

usage: unpack.py MIMICRYD WORK
"""

import base64
import email
import hashlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

MIMICRYD, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
KINDS = {"zip": "application/zip", "tar_gzip": "application/gzip", "tar_bzip2": "application/x-bzip2"}
PASSWORD = "correct horse battery"
# 09:30:10 +0100
DATE, WALL, UNIX = "Fri, 21 Nov 2025 09:30:10 +0100", (2025, 11, 21, 9, 30, 10), 1763713810


def must(truth, what):
    if not truth:
        raise AssertionError(what)


def command(*words, stdin=b"", code=0, cwd=None):
    done = subprocess.run([str(word) for word in words], input=stdin, capture_output=True, timeout=60, cwd=cwd)
    if code is not None and done.returncode != code:
        said = (done.stderr + done.stdout).decode("utf-8", "replace")[-800:]
        raise AssertionError(f"{' '.join(map(str, words))}: exit {done.returncode}: {said}")
    return done


# --- mimicry -----------------------------------------------------------------------------------------------------------


def config(name, kind, options=""):
    text = ('[[listen]]\nname = "in"\naddress = "127.0.0.1:10025"\n[relay]\nnext_hop = "smtp://127.0.0.1:10026"\n'
            f'[limits]\nmail = "200M"\n[[rule]]\nname = "pack"\nplugin = "{kind}"\n[rule.options]\n{options}\n')
    (WORK / f"{name}.toml").write_text(text, encoding="utf-8")


def filter_mail(name, raw, code=0):
    return command(MIMICRYD, "filter", "-c", WORK / f"{name}.toml", "--from", "anna@example.org", "--to", "tom@example.net",
                   stdin=raw, code=code)


def archive_of(raw, kind):
    """The octets of the one archive in a mail, after a look at the parts around it."""
    parts = list(email.message_from_bytes(raw).walk())
    must([part.get_content_type() for part in parts] == ["multipart/mixed", "text/plain", KINDS[kind]],
         f"{kind}: {[part.get_content_type() for part in parts][:6]}")
    must(parts[1].get_payload() == "Hello\r\n", f"{kind}: the text of the mail changed")
    return parts[2].get_payload(decode=True)


# --- the mails ---------------------------------------------------------------------------------------------------------


def percent(text, charset):
    return "".join(f"%{octet:02X}" for octet in text.encode(charset))


def word(text, charset, how):
    octets = text.encode(charset)
    if how == "B":
        return f"=?{charset}?B?{base64.b64encode(octets).decode()}?="
    return f"=?{charset}?Q?{''.join(f'={octet:02X}' for octet in octets)}?="


TEXT = b"one,two,three\r\n" * 40
EVERY = bytes(range(256)) * 8

# The parameters of Content-Disposition as octets, the name of the member; None stands for a part without any name.
NAMES = [
    (f"filename*=utf-8''{percent('Übersicht März.pdf', 'utf-8')}".encode(), "Übersicht März.pdf"),
    (f"filename*=iso-8859-1'de'{percent('Grüße.txt', 'iso-8859-1')}".encode(), "Grüße.txt"),
    (f"filename*=shift_jis'ja'{percent('見積書.xls', 'shift_jis')}".encode(), "見積書.xls"),
    (f"filename*0*=utf-8''{percent('ein langer ', 'utf-8')};\r\n filename*1=Name;\r\n filename*2*=.t%78t".encode(), "ein langer Name.txt"),
    (f'filename="{word("Öl.txt", "utf-8", "B")}"'.encode(), "Öl.txt"),
    (f'filename="{word("Résumé.doc", "iso-8859-1", "Q")}"'.encode(), "Résumé.doc"),
    (f'filename="{word("請求書.txt", "iso-2022-jp", "B")}"'.encode(), "請求書.txt"),
    ('filename="Käse roh.txt"'.encode("utf-8"), "Käse roh.txt"),
    ('filename="Käse latin.txt"'.encode("iso-8859-1"), "Käse latin.txt"),
    (f'filename="{"n" * 296}.txt"'.encode(), "n" * 196 + ".txt"),
    (f"filename*=utf-8''{percent('見' * 100 + '.txt', 'utf-8')}".encode(), "見" * 65 + ".txt"),
    (f'filename="{"m" * 97}.txt"'.encode(), "m" * 97 + ".txt"),
    (b'filename="../../etc/passwd"', "passwd"),
    (b'filename="..\\\\..\\\\boot.ini"', "boot.ini"),
    (b'filename="C:\\\\x"', "x"),
    (b'filename="/abs.txt"', "abs.txt"),
    (b'filename="CON"', "_CON"),
    (b'filename="nul.txt"', "_nul.txt"),
    (b'filename="trailing.txt. . ."', "trailing.txt"),
    (b'filename=".htaccess"', "htaccess"),
    (f"filename*=utf-8''{percent('photo' + chr(0x202E) + 'gpj.exe', 'utf-8')}".encode(), "photogpj.exe"),
    (b"filename*=utf-8''nul%00inside.txt", "nul inside.txt"),
    (b"filename*=utf-8''crlf%0D%0Ainside.txt", "crlf  inside.txt"),
    (b'filename="report.pdf"', "report.pdf"),
    (b'filename="report.pdf"', "report (2).pdf"),
    (b'filename="report.pdf"', "report (3).pdf"),
    (b'filename="report.pdf"', "report (4).pdf"),
    (b'filename="Report.PDF"', "Report (5).PDF"),
    (b'filename="-rf"', "-rf"),
    (b'filename="a*b?.txt"', "a_b_.txt"),
    (None, None),
]


def mail(attachments):
    """Attachments are (parameters, media type, content)."""
    out = [f"From: Anna <anna@example.org>\r\nTo: Tom <tom@example.net>\r\nSubject: many files\r\nDate: {DATE}\r\n"
           "Message-ID: <unpack@example.org>\r\nMIME-Version: 1.0\r\n"
           'Content-Type: multipart/mixed; boundary="=_b"\r\n\r\n--=_b\r\nContent-Type: text/plain\r\n\r\nHello\r\n\r\n'.encode()]
    for parameters, media_type, content in attachments:
        out.append(f"--=_b\r\nContent-Type: {media_type}\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment".encode())
        out.append(b"; " + parameters if parameters else b"")
        out.append(b"\r\n\r\n" + base64.encodebytes(content).replace(b"\n", b"\r\n"))
    out.append(b"--=_b--\r\n")
    return b"".join(out)


def named():
    """The mail of all names, and what must come out of it."""
    attachments, members = [], {}
    for at, (parameters, name) in enumerate(NAMES):
        content = EVERY if at % 3 == 0 else TEXT + f"{at}\r\n".encode()
        attachments.append((parameters, "application/pdf", content))
        members[name or f"part-{at + 2}.pdf"] = content
    attachments.append((b'filename="empty.bin"', "application/octet-stream", b""))
    members["empty.bin"] = b""
    return mail(attachments), members


def thousand():
    contents = [TEXT + f"{number}\r\n".encode() for number in range(1000)]
    attachments = [(b'filename="report.pdf"', "application/pdf", content) for content in contents]
    names = ["report.pdf", *(f"report ({number}).pdf" for number in range(2, 1001))]
    return mail(attachments), dict(zip(names, contents))


def hundred_megabytes():
    content = b"".join(b"%07d " % line + b"x" * 1015 + b"\n" for line in range(102400))
    assert len(content) == 100 << 20
    return mail([(b'filename="large.txt"', "text/plain", content), (b'filename="small.txt"', "text/plain", TEXT)]), {
        "large.txt": content, "small.txt": TEXT}


# --- the readers -------------------------------------------------------------------------------------------------------


def unpacked(directory):
    """Every file below a directory, by the path below it."""
    found = {}
    for path in pathlib.Path(directory).rglob("*"):
        must(path.is_dir() or (path.is_file() and not path.is_symlink()), f"{path} is no file")
        if path.is_file():
            found[str(path.relative_to(directory))] = path
    return found


def by_program(what, members, *words):
    """Runs a program that unpacks into a directory, and compares."""
    directory = WORK / "out"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    command(*words, cwd=directory)
    # 7-Zip takes the compression off first.
    inner = list(directory.iterdir())
    if words[0] == "7z" and len(inner) == 1 and inner[0].suffix == ".tar":
        command("7z", "x", "-y", inner[0], cwd=directory)
        inner[0].unlink()
    same(what, members, unpacked(directory), pathlib.Path.read_bytes)
    shutil.rmtree(directory)


def same(what, members, found, read):
    must(set(found) == set(members), f"{what}: missing {sorted(set(members) - set(found))[:3]}, more {sorted(set(found) - set(members))[:3]}")
    for name, content in members.items():
        must(read(found[name]) == content, f"{what}: other octets in {name}")


def in_order(what, members, names):
    other = [pair for pair in zip(members, names) if pair[0] != pair[1]]
    must(not other and len(names) == len(members), f"{what}: {len(names)} of {len(members)} names, {other[:5]}")


def by_zipfile(what, members, octets):
    with zipfile.ZipFile(io.BytesIO(octets)) as archive:
        must(archive.testzip() is None, f"{what}: a bad CRC")
        infos = archive.infolist()
        in_order(what, members, [info.filename for info in infos])
        for info in infos:
            must(info.date_time == WALL, f"{what}: {info.filename} is of {info.date_time}")
            must(info.external_attr >> 16 == 0o100644 and info.create_system == 3, f"{what}: mode {info.external_attr:o}")
            must(info.flag_bits & ~0x0800 == 0 and info.extra == b"", f"{what}: flags {info.flag_bits:x}, extra {info.extra}")
        same(what, members, {info.filename: info for info in infos}, archive.read)


def by_tarfile(what, members, octets):
    with tarfile.open(fileobj=io.BytesIO(octets)) as archive:
        infos = archive.getmembers()
        in_order(what, members, [info.name for info in infos])
        for info in infos:
            said = (info.isreg(), info.mode, info.uid, info.gid, info.uname, info.gname, info.mtime)
            must(said == (True, 0o644, 0, 0, "", "", UNIX), f"{what}: {info.name}: {said}")
        same(what, members, {info.name: info for info in infos}, lambda info: archive.extractfile(info).read())


def check(what, kind, members, octets, python=True):
    path = WORK / f"archive.{ {'zip': 'zip', 'tar_gzip': 'tar.gz', 'tar_bzip2': 'tar.bz2'}[kind] }"
    path.write_bytes(octets)
    programs = {"7z": ["7z", "x", "-y", path], "bsdtar": ["bsdtar", "-xf", path]}
    if kind == "zip":
        programs["unzip"] = ["unzip", "-q", path]
        command("zip", "-T", path)
        command("unzip", "-tq", path)
        if python:
            by_zipfile(f"{what}: zipfile", members, octets)
    else:
        programs["GNU tar"] = ["tar", "-xzf" if kind == "tar_gzip" else "-xjf", path]
        command("gzip" if kind == "tar_gzip" else "bzip2", "-t", path)
        if kind == "tar_gzip":
            # No flags, so no name; no time.
            must(octets[:9] == b"\x1f\x8b\x08" + b"\0" * 6, f"{what}: the header of gzip is {octets[:10]}")
        if python:
            by_tarfile(f"{what}: tarfile", members, octets)
    for program, words in programs.items():
        by_program(f"{what}: {program}", members, *words)
    return len(programs) + 1 + (kind == "zip")


# --- the steps ---------------------------------------------------------------------------------------------------------


def contents():
    for kind in KINDS:
        config(kind, kind, "level = 1\nskip_compressed = false")
    readings = 0
    for what, (raw, members) in (("names", named()), ("thousand", thousand()), ("100 MB", hundred_megabytes())):
        for kind in KINDS:
            octets = archive_of(filter_mail(kind, raw).stdout, kind)
            readings += check(f"{what}, {kind}", kind, members, octets)
            if what == "names":
                again = archive_of(filter_mail(kind, raw).stdout, kind)
                must(octets == again, f"{kind}: another archive of the same mail")
    print(f"ok: {len(NAMES) + 1} names, 1000 members and 100 MB in {len(KINDS)} containers, {readings} readings")


def stored():
    """What is compressed already stands in the archive as it is, between what is not."""
    noise = hashlib.shake_128(b"noise").digest(200_000)
    members = {"a.txt": TEXT * 20, "b.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF" + noise, "c.txt": TEXT * 30, "d.png": b"\x89PNG\r\n\x1a\n" + noise[:70_000]}
    raw = mail([(f'filename="{name}"'.encode(), "application/octet-stream", content) for name, content in members.items()])
    for kind in ("zip", "tar_gzip"):
        config(kind, kind)
        octets = archive_of(filter_mail(kind, raw).stdout, kind)
        must(noise[1000:2000] in octets, f"{kind}: a picture was compressed")
        must(TEXT not in octets, f"{kind}: a text was not")
        check(f"stored, {kind}", kind, members, octets)
    print("ok: stored members")


def broken():
    """A part that is not in its coding stays as it is."""
    raw = mail([(b'filename="whole.txt"', "text/plain", TEXT), (b'filename="broken.txt"', "text/plain", TEXT)])
    at = raw.index(b'filename="broken.txt"')
    damaged = raw[:at] + raw[at:].replace(b"\r\n\r\n", b"\r\n\r\n!=!\r\n", 1)
    alone = damaged[:damaged.index(b"--=_b\r\nContent-Type: text/plain\r\nContent-Transfer")] + damaged[damaged.rindex(b"--=_b\r\n"):]
    for kind in KINDS:
        done = filter_mail(kind, alone)
        must(done.stdout == alone, f"{kind}: a mail with a broken part alone changed")
        must(b"malformed" in done.stderr, f"{kind}: {done.stderr}")
        out = filter_mail(kind, damaged).stdout
        must(damaged[damaged.rindex(b"--=_b\r\n"):] in out, f"{kind}: the broken part changed")
        parts = list(email.message_from_bytes(out).walk())
        must([part.get_content_type() for part in parts[1:]] == ["text/plain", KINDS[kind], "text/plain"], f"{kind}: another tree")
        check(f"broken, {kind}", kind, {"whole.txt": TEXT}, parts[2].get_payload(decode=True))
    print("ok: broken base64 stays")


def encrypted():
    """7-Zip reads it with the password alone; nobody without."""
    key = WORK / "password"
    key.write_text(PASSWORD + "\n")
    config("encrypted", "zip", f'password_file = "{key}"')
    raw, members = named()
    key.chmod(0o644)
    must(b"others than its owner" in filter_mail("encrypted", raw, code=None).stderr, "a password for all to read was taken")
    key.chmod(0o600)
    done = filter_mail("encrypted", raw)
    must(PASSWORD.encode() not in done.stdout + done.stderr, "the password is shown")
    octets = archive_of(done.stdout, "zip")
    must(TEXT[:30] not in octets, "a text can be read")
    path = WORK / "encrypted.zip"
    path.write_bytes(octets)
    listed = command("7z", "l", "-slt", f"-p{PASSWORD}", path).stdout.decode()
    must(listed.count("Method = AES-256") == len(members), listed[:2000])
    by_program("7z with the password", members, "7z", "x", "-y", f"-p{PASSWORD}", path)
    by_program("bsdtar with the password", members, "bsdtar", "--passphrase", PASSWORD, "-xf", path)
    for words in (["7z", "t", "-pwrong", path], ["7z", "t", "-p", path], ["bsdtar", "--passphrase", "wrong", "-tf", path, "-O", "-x"]):
        must(command(*words, code=None).returncode != 0, f"{words[:2]} reads it")
    again = archive_of(filter_mail("encrypted", raw).stdout, "zip")
    must(again != octets and len(again) == len(octets), "the salts are the same")
    print(f"ok: {len(members)} members with AES-256")


def main():
    os.umask(0o022)
    contents()
    stored()
    broken()
    encrypted()


main()
