"""Takes a mail that is signed with PGP/MIME apart.

usage: split.py MAIL CONTENT    what is signed goes into CONTENT, the signature into CONTENT.asc
"""

import pathlib
import re
import sys


def crlf(octets):
    return re.sub(rb"\r?\n", b"\r\n", octets)


def split(mail, path):
    """Puts what is signed, and beside it the signature, into files; returns the header of the mail and what is signed."""
    head, _, rest = mail.partition(b"\r\n\r\n")
    boundary = re.search(rb'boundary="([^"]+)"', head.rpartition(b"multipart/signed")[2]).group(1)
    _, inner, signature, _ = re.split(rb"(?:^|\r\n)--" + re.escape(boundary) + rb"(?:--)?\r\n", rest)
    path.with_suffix(".asc").write_bytes(signature.partition(b"\r\n\r\n")[2])
    path.write_bytes(inner)
    return head, inner


if __name__ == "__main__":
    split(crlf(pathlib.Path(sys.argv[1]).read_bytes()), pathlib.Path(sys.argv[2]))
