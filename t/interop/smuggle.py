"""Mails whose words try to be a second mail, through mimicryd into the maildirs of an MTA: smuggle.py PORT MAIL.

Each mail has an id of its own. All are taken; each arrives once, for tom, and nothing else arrives for anybody.
"""

import os
import smtplib
import sys
import threading
import time

PORT, MAIL = int(sys.argv[1]), sys.argv[2]

# One label of every charset that browsers know, us-ascii, UTF-7, and what nobody here knows.
CHARSETS = """us-ascii iso-8859-1 iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 iso-8859-6 iso-8859-7 iso-8859-8 iso-8859-8-i
iso-8859-9 iso-8859-10 iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16 windows-874 windows-1250 windows-1251 windows-1252
windows-1253 windows-1254 windows-1255 windows-1256 windows-1257 windows-1258 macintosh x-mac-cyrillic ibm866 koi8-r koi8-u
gb2312 gbk gb18030 big5 euc-jp shift_jis iso-2022-jp euc-kr utf-8 utf-7 utf-16 utf-16le utf-16be iso-2022-kr hz-gb-2312 utf-32
x-unknown""".split()
ENCODINGS = ["7bit", "8bit", "binary", "quoted-printable", "base64"]
RULES = ["bottom", "top", "banner", "header", "note", "pack", "all"]

# An even number of octets each, so that they can be the octets of a text in UTF-16. The ends that servers have been found to take.
SECOND = [
    b"\n.\nMAIL FROM:<evil@example.org>\nRCPT TO:<eva@example.net>\nDATA\nSubject: evil\n\nowned.\n.\nx",
    b"\r.\rMAIL FROM:<evil@example.org>\rRCPT TO:<eva@example.net>\rDATA\rSubject: evil\r\rowned.\r.\rx",
    b"\n.\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<eva@example.net>\r\nDATA\r\nSubject: evil\r\n\r\nowned\r\n.\r\n",
    b"\r\n.\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<eva@example.net>\r\nDATA\r\nSubject: evil\r\n\r\nowned\n.\r\nx",
    b"\r\n.\rMAIL FROM:<evil@example.org>\r\nRCPT TO:<eva@example.net>\r\nDATA\r\nSubject: evil\r\n\r\nowned\r.\r\nx",
    b"\r\n\0.\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<eva@example.net>\r\nDATA\r\n\r\nowned.\r\n.\r\n",
]


def words(text):
    """As encoded words, one for each character, so that none is cut."""
    return "\r\n ".join("=?utf-8?Q?%s?=" % "".join("=%02X" % octet for octet in char.encode()) for char in text)


def percent(text):
    return "".join("%%%02X" % octet for octet in text.encode())


def own_words(charset, order):
    """A body that is clean as it is."""
    if charset.startswith("utf-16"):
        mark = "\ufeff" if charset == "utf-16" else ""
        # The octets of the last character are CR and LF.
        text = mark + "Hello" + ("\u0a0d" if order == "le" else "\u0d0a")
        return text.encode("utf-16-" + order)
    line_end = "" if charset == "utf-32" else "\r\n"
    for letter in "äжα漢א":
        try:
            return ("Hello " + letter + line_end).encode(charset)
        except (LookupError, UnicodeError):
            pass
    return b"Hello\r\n"


def coded(encoding, octets):
    if encoding == "base64":
        import base64

        return base64.encodebytes(octets).replace(b"\n", b"\r\n")
    if encoding == "quoted-printable":
        return b"".join(b"%c" % octet if 32 < octet < 127 and octet != 61 else b"=%02X" % octet for octet in octets) + b"\r\n"
    return octets


def mails():
    number = 0
    for charset in CHARSETS:
        for encoding in ENCODINGS:
            for rule in RULES:
                orders = {"utf-16le": ["le"], "utf-16be": ["be"], "utf-16": ["le", "be"]}.get(charset, [["le", "be"][number % 2]])
                for order in orders:
                    # Where the words can be octets of their own: all of them.
                    hostile = charset.startswith("utf-16") and encoding in ("8bit", "binary")
                    for second in SECOND if hostile else [SECOND[number % len(SECOND)]]:
                        number += 1
                        yield number, rule, mail(number, charset, encoding, order, second)


def mail(number, charset, encoding, order, second):
    evil = second.decode("utf-16-" + order)
    subtype = ["plain", "html"][number // 3 % 2]
    above = (
        f"From: anna@elsewhere.example\r\nTo: tom@example.net\r\nMessage-ID: <{number}@smuggle>\r\n"
        f"Date: Sun, 22 Nov 2026 19:00:00 +0100\r\nSubject: {words(evil)}\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        f"Content-Type: text/{subtype}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    )
    body = coded(encoding, own_words(charset, order))
    below = ""
    # The one is for "note", the other for "pack".
    for name in [evil + "Z", evil]:
        below += (
            f"\r\n--b\r\nContent-Type: application/x\r\nContent-Disposition: attachment;\r\n filename*=utf-8''{percent(name)}\r\n\r\n"
            + "compressible " * 400
        )
    return above.encode() + body + below.encode() + b"\r\n--b--\r\n"


def send(some, wrong):
    try:
        with smtplib.SMTP("127.0.0.1", PORT, "client.example", timeout=60) as client:
            for number, rule, octets in some:
                client.ehlo_or_helo_if_needed()
                client.mail(rule + "@elsewhere.example", ["BODY=8BITMIME"])
                client.rcpt("tom@example.net")
                code, text = client.data(octets)
                if code != 250:
                    wrong.append("mail %d is answered %d %s\n%r" % (number, code, text, octets))
                    client.rset()
    except Exception as error:  # The thread's end must be seen.
        wrong.append(repr(error))


def arrived(who):
    directory = os.path.join(MAIL, who, "new")
    return [os.path.join(directory, name) for name in os.listdir(directory)] if os.path.isdir(directory) else []


def main():
    all_mails, wrong = list(mails()), []
    threads = [threading.Thread(target=send, args=(all_mails[start::6], wrong)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deadline = time.monotonic() + 90
    while len(arrived("tom")) < len(all_mails) and not wrong and time.monotonic() < deadline:
        time.sleep(0.1)
    ids = []
    for path in arrived("tom"):
        with open(path, "rb") as file:
            head = file.read().replace(b"\r\n", b"\n").split(b"\n\n")[0].split(b"\n")
        found = [line for line in head if line.lower().startswith(b"message-id:")]
        ids.append(found[0].split(b"<")[1].split(b"@smuggle")[0].decode() if found and b"@smuggle" in found[0] else path)
    expected = [str(number) for number, _, _ in all_mails]
    wrong += ["for eva there is " + path for path in arrived("eva")]
    wrong += ["what is this: " + one for one in ids if one not in set(expected)]
    wrong += ["mail %s did not arrive" % one for one in sorted(set(expected) - set(ids), key=int)]
    wrong += ["mail %s arrived more than once" % one for one in sorted(set(ids)) if ids.count(one) > 1]
    if wrong:
        sys.exit("%d faults\n%s" % (len(wrong), "\n".join(wrong[:10])))
    print("ok: %d mails were taken and arrived, each once" % len(all_mails))


main()
