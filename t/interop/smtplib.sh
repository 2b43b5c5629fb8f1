#!/bin/bash
# Python's smtplib speaks to mimicryd: several mails and errors in one session, ESMTP parameters; the next hop is a maildir.
. "$(dirname "$0")/common.bash"

need python3 python3
need_mimicryd

free_port port_in
port_back=0
write_config "Sent by Example Ltd, no. 123456"
sed -i "s|^next_hop = .*|next_hop = \"maildir://$work/mail/tom\"|" "$work/mimicry.toml"
printf '\n[limits]\nmail = "1M"\n' >>"$work/mimicry.toml"
mkdir -p "$work/mail"
(($(id -u) != 0)) || chown nobody "$work/mail"
start_mimicryd

python3 - "$port_in" "$work/mail/tom/new" "$root/t/mail" <<'PYTHON'
import os, pathlib, smtplib, sys
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

port, new, samples = int(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
FOOTER = "Sent by Example Ltd, no. 123456"


def delivered():
    """The one mail that came, its line ends as in SMTP."""
    files = list(new.iterdir()) if new.is_dir() else []
    assert len(files) == 1, f"{len(files)} mails instead of one"
    octets = files[0].read_bytes()
    files[0].unlink()
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def refused(code, what):
    try:
        what()
    except smtplib.SMTPResponseException as error:
        assert error.smtp_code == code, f"{error.smtp_code} {error.smtp_error} instead of {code}"
        return error.smtp_error
    raise AssertionError(f"not refused, instead of {code}")


client = smtplib.SMTP("127.0.0.1", port, local_hostname="client.example.org", timeout=20)
client.ehlo()
for extension in ["pipelining", "size", "8bitmime", "enhancedstatuscodes"]:
    assert client.has_extn(extension), f"{extension} is not offered"
assert client.esmtp_features["size"] == str(1024 * 1024), client.esmtp_features
assert not client.has_extn("starttls") and not client.has_extn("auth"), client.esmtp_features
print("ok: EHLO")

# As octets, so that nothing but mimicryd could change them.
signed = (samples / "demo-pgp-signed.eml").read_bytes()
assert client.sendmail("anna@example.org", ["tom@example.net"], signed, mail_options=["BODY=8BITMIME"]) == {}
assert delivered().endswith(signed), "the signed mail was changed"
latin1 = (samples / "demo-latin1.eml").read_bytes()
client.sendmail("anna@example.org", ["tom@example.net"], latin1, mail_options=["BODY=8BITMIME"])
assert delivered().count(FOOTER.encode()) == 1, "the latin1 mail has not one footer"
print("ok: several mails in one session, octet for octet")

message = EmailMessage(policy=policy.SMTP)
message["From"], message["To"], message["Subject"] = "anna@example.org", "tom@example.net", "Prices – and more"
message.set_content("Good day,\n.\n..dots\n\nthe list is attached. Grüße\n")
message.add_alternative("<html><body><p>Good day</p></body></html>", subtype="html")
attached = os.urandom(100_000)
message.add_attachment(attached, maintype="application", subtype="pdf", filename="prices – 2024.pdf")
client.send_message(message)
received = BytesParser(policy=policy.default).parsebytes(delivered())
text, html = received.get_body(("plain",)).get_content(), received.get_body(("html",)).get_content()
assert text.count(FOOTER) == 1 and html.count(FOOTER) == 1, (text, html)
assert "\n.\n..dots\n" in text.replace("\r\n", "\n") and "Grüße" in text, text
(attachment,) = received.iter_attachments()
assert attachment.get_content() == attached and attachment.get_filename() == "prices – 2024.pdf"
assert received["Subject"] == message["Subject"]
print("ok: a mail that Python made is one that Python reads")

assert client.noop()[0] == 250
assert client.rset()[0] == 250
assert client.verify("tom")[0] == 252
assert client.docmd("HELP")[0] == 214
assert client.docmd("DATA")[0] == 503
assert client.docmd("RCPT TO:<tom@example.net>")[0] == 503
assert client.docmd("DANCE")[0] in (500, 502)
assert client.mail("anna@example.org")[0] == 250
assert client.mail("anna@example.org")[0] == 503
assert client.rset()[0] == 250
print("ok: commands out of order, and those that do nothing")

assert b"5.3.4" in refused(552, lambda: client.sendmail("anna@example.org", ["tom@example.net"], b"Subject: large\r\n\r\n" + b"x" * 70 + (b"y" * 70 + b"\r\n") * 20000))
client.sendmail("anna@example.org", ["tom@example.net"], b"Subject: after it\r\n\r\nstill there\r\n")
octets = delivered()
assert b"still there" in octets and octets.count(FOOTER.encode()) == 1
assert client.quit()[0] == 221
print("ok: too large is refused, and the session goes on")

for round in range(20):
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as other:
        other.sendmail("anna@example.org", ["tom@example.net"], f"Subject: {round}\r\n\r\nhello\r\n")
    assert f"Subject: {round}\r\n".encode() in delivered()
print("ok: 20 sessions")
PYTHON
