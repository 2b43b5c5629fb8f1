#!/bin/bash
# mimicryd, Dovecot's LMTP, maildir: over a unix socket, over TCP, and behind STARTTLS with a certificate that holds or does not.
. "$(dirname "$0")/common.bash"

need_dovecot
need swaks swaks
need openssl openssl
need_root
need_mimicryd

free_port port_in
free_port port_back
port_smtp=$port_in
footer="Sent by Example Ltd, no. 123456"
sample=$root/t/mail/demo-text.eml

# authority NAME: a key and the certificate of an authority.
authority() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$1" -keyout "$dovecot_dir/$1.key" \
        -out "$dovecot_dir/$1.pem"
}
{
    authority ours
    authority other
    openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout "$dovecot_dir/key.pem" -out "$dovecot_dir/request"
    echo "subjectAltName = IP:127.0.0.1" >"$dovecot_dir/names"
    openssl x509 -req -days 2 -in "$dovecot_dir/request" -CA "$dovecot_dir/ours.pem" -CAkey "$dovecot_dir/ours.key" \
        -CAcreateserial -extfile "$dovecot_dir/names" -out "$dovecot_dir/cert.pem"
} 2>"$work/openssl.log"
# tom and eva have room, full has none.
ids=$(id -u nobody):$(id -g nobody)
cat >"$dovecot_dir/users" <<USERS
tom@example.net:x:$ids::$work/mail/tom::
eva@example.net:x:$ids::$work/mail/eva::
full@example.net:x:$ids::$work/mail/full::userdb_quota_rule=*:bytes=10
USERS
cat >"$work/tls.conf" <<CONF
ssl = yes
ssl_cert = <$dovecot_dir/cert.pem
ssl_key = <$dovecot_dir/key.pem
CONF
new_dovecot "$work/tls.conf"

# relay SETTINGS: what stands in [relay] from now on.
relay() {
    write_config "$footer"
    sed -i "s|^next_hop = .*|$1|" "$work/mimicry.toml"
}

# What the next hop answered last, as the log has it.
status() { grep -o 'status=[a-z]* reply="[^"]*"' "$work/mimicry.log" | tail -n 1; }

arrives() {
    send "$sample" anna@example.org "$1" || fail "$2: the mail was not taken: $(tail -n 5 "$work/swaks.log")"
    local who
    for who in ${1//,/ }; do
        delivered "${who%@*}"
        (($(times "$footer" "$mail") == 1)) || fail "$2: $who has the footer $(times "$footer" "$mail") times"
    done
    ok "$2"
}

# refused WANTED TO WHAT: the client is told so.
refused() {
    ! send "$sample" anna@example.org "$2" || fail "$3: the mail was taken"
    grep -q "$1" "$work/swaks.log" || fail "$3: the client was told $(tail -n 5 "$work/swaks.log")"
    ok "$3"
}

start_dovecot
relay "next_hop = \"lmtp://$work/lmtp.sock\""
start_mimicryd
arrives tom@example.net "unix socket: one recipient"
arrives tom@example.net,eva@example.net "unix socket: two recipients"
refused "550 5.1.1" nobody@example.net "an unknown user is refused by Dovecot's own words"
refused "552 5.2.2" full@example.net "a full mailbox is refused by Dovecot's own words"

# Both in one transaction: what becomes of each is in the log; Tom has it, and full never will.
send "$sample" anna@example.org tom@example.net,full@example.net && fail "a mail that only one of two got was taken"
delivered tom
grep -q "550.*all others have the mail\|552.*all others have the mail" "$work/swaks.log" ||
    fail "the client was told $(tail -n 5 "$work/swaks.log")"
grep -q 'status=partial reply="552 5.2.2' "$work/mimicry.log" || fail "not in the log: $(status)"
! has_mail full || fail "a full mailbox has a mail"
ok "two recipients, one of them full: the client hears who is refused, Tom has it"

# A hundred names of Tom's: each RCPT is taken, in one transaction.
many=$(for n in $(seq 100); do printf 'tom+%s@example.net,' "$n"; done)
send "$sample" anna@example.org "${many%,}" || fail "a hundred recipients: $(tail -n 5 "$work/swaks.log")"
! grep -q "^<.. 452" "$work/swaks.log" || fail "recipients were put off"
grep -q 'class=1/1 status=sent .* nrcpt=100 ' "$work/mimicry.log" || fail "not one transaction: $(status)"
rm -rf "$work/mail/tom/new"/*
ok "a hundred recipients in one transaction"

relay "next_hop = \"lmtp://$work/lmtp.sock\"\\nlmtp_partial = \"single\""
"$mimicryd" reload -c "$work/mimicry.toml"
arrives tom@example.net,eva@example.net "unix socket: one by one"

relay "next_hop = \"lmtp://127.0.0.1:$port_back\""
"$mimicryd" reload -c "$work/mimicry.toml"
arrives tom@example.net,eva@example.net "TCP"

for tls in may encrypt verify; do
    relay "next_hop = \"lmtp://127.0.0.1:$port_back\"\\ntls = \"$tls\"\\nca_file = \"$dovecot_dir/ours.pem\""
    "$mimicryd" reload -c "$work/mimicry.toml"
    arrives tom@example.net "STARTTLS: $tls"
done

relay "next_hop = \"lmtp://127.0.0.1:$port_back\"\\ntls = \"verify\"\\nca_file = \"$dovecot_dir/other.pem\""
"$mimicryd" reload -c "$work/mimicry.toml"
refused "451 4.7.5" tom@example.net "STARTTLS: a certificate that does not hold defers the mail"
! has_mail tom || fail "tom has a mail that was not to go"
