#!/bin/bash
# The archive with a disk that is really full or read-only, and its files read by other programs: Python's mailbox, gzip.
. "$(dirname "$0")/common.bash"

need_root
need swaks swaks
need_mimicryd

free_port port_in
port_back=0
worker=$(worker_user)
mkdir -p "$work/mail"
chown "$worker" "$work/mail"
for name in maildir mbox files; do
    install -d -m 0700 -o "$worker" "$work/$name"
done
install -d -m 0755 "$work/small"
unmount() { umount "$work/small"; }
mount -t tmpfs -o "size=1m,mode=0700,uid=$(id -u "$worker")" tmpfs "$work/small" || fail "cannot mount a tmpfs"
at_end+=(unmount)

write_config "A footer"
sed -i "s|^next_hop = .*|next_hop = \"maildir://$work/mail/tom\"|" "$work/mimicry.toml"
cp "$work/mimicry.toml" "$work/base.toml"
cat >>"$work/mimicry.toml" <<TOML
[[rule]]
name = "maildir"
plugin = "archive"
options = { dir = "$work/maildir/{{ year }}", sidecar = true }
[[rule]]
name = "mbox"
plugin = "archive"
options = { dir = "$work/mbox", layout = "mboxrd" }
[[rule]]
name = "files"
plugin = "archive"
options = { dir = "$work/files/{{ sender.domain }}", layout = "files", compress = "gzip" }
TOML
"$mimicryd" check -c "$work/mimicry.toml" || fail "the configuration"
start_mimicryd

# post FILE: what swaks ends with is in $code, what it heard in $work/swaks.log.
post() {
    { sed 's/^\./../' "$1"; printf '.\r\n'; } >"$work/data.eml"
    code=0
    swaks --server 127.0.0.1 --port "$port_in" --helo client.example.org --from anna@example.org --to tom@example.net \
        --timeout 20 --data "@$work/data.eml" --no-data-fixup >"$work/swaks.log" 2>&1 </dev/null || code=$?
}

number=0
for mail in "$root"/t/mail/*.eml; do
    # What the daemon changes before any rule has it (lone line ends, no line end, an mbox line on top) is another test's.
    LC_ALL=C grep -q -v $'\r$' "$mail" && continue
    [[ $(tail -c 2 "$mail" | od -An -tx1) == " 0d 0a" ]] || continue
    grep -q $'\r.' "$mail" && continue
    [[ $(head -c 5 "$mail") == "From " ]] && continue
    post "$mail"
    ((code == 0)) || fail "$mail ends with $code"
    cp "$mail" "$work/sent.$number"
    number=$((number + 1))
done
((number > 50)) || fail "only $number mails"
post "$work/sent.0"
((code == 0)) || fail "the first mail again ends with $code"

python3 - "$work" "$number" <<'PYTHON' || fail "what Python reads"
import glob, gzip, json, mailbox, re, sys

work, number = sys.argv[1], int(sys.argv[2])
sent = sorted({open(f"{work}/sent.{n}", "rb").read() for n in range(number)})
(folder,) = glob.glob(f"{work}/maildir/20*")
box = mailbox.Maildir(folder, create=False)
assert sorted(box.get_bytes(key) for key in box.keys()) == sent, (len(box), len(sent))
for path in glob.glob(f"{folder}/sidecar/*.json"):
    facts = json.load(open(path))
    assert facts["recipients"][0]["address"] == "tom@example.net", facts
    assert path.split("/")[-1].startswith(f"{facts['digest']}-")
assert len(glob.glob(f"{folder}/sidecar/*.json")) == len(sent)
files = glob.glob(f"{work}/files/example.org/*.eml.gz")
assert sorted(gzip.open(path).read() for path in files) == sent
# Python knows no mboxrd: the quoting is taken back here.
box = mailbox.mbox(f"{work}/mbox/mbox", create=False)
unquote = lambda octets: re.sub(rb"^>(>*From )", rb"\1", octets, flags=re.M)
read = sorted(unquote(box.get_bytes(key)).replace(b"\n", b"\r\n") for key in box.keys())
assert read == sent, (len(read), len(sent))
PYTHON
ok "$number mails in a Maildir, in an mbox and in gzip files, as they were sent"
gzip -t "$work"/files/example.org/*.gz || fail "gzip -t"
stop_mimicryd

full() {
    sed "s|LAYOUT|$1|g" >"$work/mimicry.toml" <<TOML
$(cat "$work/base.toml")
[[rule]]
name = "required"
plugin = "archive"
options = { dir = "$work/small/LAYOUT", layout = "LAYOUT" }
TOML
}
yes 0123456789abcdef0123456789abcdef0123456789abcdef | head -n 40000 | sed 's/$/\r/' >"$work/body" || :
{ printf 'Subject: large\r\n\r\n'; cat "$work/body"; } >"$work/large"
for layout in files maildir mboxrd; do
    install -d -m 0700 -o "$worker" "$work/small/$layout"
    full "$layout"
    "$mimicryd" run -c "$work/mimicry.toml" || fail "mimicryd does not start"
    before=$(du -sb "$work/small" | cut -f1)
    post "$work/large"
    grep -q '^<\*\* 452 4\.3\.1 ' "$work/swaks.log" || fail "$layout, full: $(grep '^<\*\*' "$work/swaks.log")"
    [[ -z $(find "$work/small/$layout" -type f -size +4k) ]] || fail "$layout: something is left"
    [[ -z $(find "$work/small/$layout/.mimicry/work" -type f) ]] || fail "$layout: unfinished work is left"
    after=$(du -sb "$work/small" | cut -f1)
    ((after - before < 20000)) || fail "$layout: $before octets before, $after after"
    post "$work/sent.0"
    ((code == 0)) || fail "$layout: a small mail ends with $code"
    mount -o remount,ro "$work/small"
    post "$work/sent.1"
    grep -q '^<\*\* 451 4\.3\.0 ' "$work/swaks.log" || fail "$layout, read-only: $(grep '^<\*\*' "$work/swaks.log")"
    mount -o remount,rw "$work/small"
    stop_mimicryd
    ok "$layout: a full disk is a 452, a read-only one a 451"
done
rm -f "$work"/*.log
