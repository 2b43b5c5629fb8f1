#!/bin/bash
# What a mail of 2 KB costs in calls of the kernel over a kept line to the next hop, counted by strace: by lettre and by our own
# connection, from a client that pipelines and from one that does not, in one session and in a session for each mail. Counts do not
# depend on how fast or how busy the machine is, so that the step fails when a mail costs more than stands here.
. "$(dirname "$0")/common.bash"

need strace strace
need smtp-source postfix
need_root
need_mimicryd
free_port port_in
free_port port_back
free_port port_lmtp
socket=$work/sink/sock
mails=100

# One worker, so that one process is all there is to count.
configure() {
    cat >"$work/mimicry.toml" <<TOML
[daemon]
pid_file = "$work/run/mimicryd.pid"
control = "$work/run/control"
spool = "$work/spool"
workers = { min = 1, max = 1, spare = 0 }
mails_per_worker = 0

[log]
target = "file:$work/mimicry.log"

[[listen]]
name = "in"
address = "127.0.0.1:$port_in"
xforward_clients = ["127.0.0.1"]

[relay]
next_hop = "$1"
TOML
}

sink() {
    # shellcheck disable=SC2086
    smtp-sink -u nobody $1 "$2" 100 >>"$work/sink.log" 2>&1 &
    at_end+=("kill $!")
}

# Each line of a mail is as long as those of most mails.
line="0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456"
body=$(for ((i = 0; i < 25; i++)); do printf '%s\\r\\n' "$line"; done)

replies() {
    local wanted=$1 reply
    while ((wanted > 0)); do
        IFS= read -r -t 20 reply <&3 || fail "no reply"
        [[ $reply == [23]* ]] || fail "refused: $reply"
        [[ ${reply:3:1} == - ]] || wanted=$((wanted - 1))
    done
}

# pipelining MAILS SESSIONS: MAIL, RCPT and DATA in one write, the message in another. The shell's own printf writes line by line.
printf 'MAIL FROM:<anna@example.org>\r\nRCPT TO:<tom@example.net>\r\nDATA\r\n' >"$work/envelope"
pipelining() {
    local session mail
    for ((session = 0; session < $2; session++)); do
        exec 3<>"/dev/tcp/127.0.0.1/$port_in"
        replies 1
        printf 'EHLO client.example\r\n' >&3
        replies 1
        for ((mail = 0; mail < $1; mail++)); do
            cat "$work/envelope" >&3
            replies 3
            # shellcheck disable=SC2059
            printf "Subject: x\\r\\nMessage-ID: <$session.$mail@x>\\r\\n\\r\\n$body.\\r\\n" >"$work/mail"
            cat "$work/mail" >&3
            replies 1
        done
        printf 'QUIT\r\n' >&3
        replies 1
        exec 3>&-
    done
}

# one_by_one MAILS SESSIONS: Postfix's own client, which waits for each reply.
one_by_one() {
    local number=$(($1 * $2)) keep=()
    (($2 == 1)) && keep=(-d)
    smtp-source "${keep[@]}" -s 1 -m "$number" -l 2048 -f anna@example.org -t tom@example.net "127.0.0.1:$port_in" ||
        fail "smtp-source"
}

# count LABEL MOST CLIENT MAILS SESSIONS
count() {
    local label=$1 most=$2 client=$3 total calls tracer
    # The line to the next hop is there, and the worker has what it needs once.
    "$client" 3 1
    strace -f -c -S calls -U calls,errors,name -o "$work/calls" -p "$worker" 2>"$work/strace.log" &
    tracer=$!
    wait_for 10 grep -q attached "$work/strace.log"
    "$client" "$4" "$5"
    kill -INT "$tracer"
    wait "$tracer" || :
    total=$(awk '$NF == "total" { print $1 }' "$work/calls")
    calls=$((total / ($4 * $5)))
    [[ -z ${SHOW-} ]] || cat "$work/calls"
    echo "$calls calls a mail (at most $most): $label"
    ((calls <= most)) || missed+=("$label")
}

# Younger than 2 s, the directory of the ledger is looked into for each mail: its time does not tell yet whether it has changed.
ledger_has_aged() { (($(date +%s) - $(stat -c %Z "$work/spool/ledger") > 2)); }

missed=()
mkdir "$work/sink"
chown nobody "$work/sink"
sink "" "127.0.0.1:$port_back"
# shellcheck disable=SC2154  # free_port sets it
sink "-L" "127.0.0.1:$port_lmtp"
sink "" "unix:$socket"
wait_for 10 listens "$port_back"
wait_for 10 listens "$port_lmtp"
wait_for 10 test -S "$socket"
chmod 666 "$socket"

while IFS='|' read -r name hop kept each; do
    configure "$hop"
    start_mimicryd
    wait_for 10 ledger_has_aged
    worker=$(pgrep -P "$(cat "$work/run/mimicryd.pid")" -f worker)
    count "$name, pipelining, one session" "$kept" pipelining "$mails" 1
    count "$name, one by one, one session" "$kept" one_by_one "$mails" 1
    count "$name, pipelining, a session each" "$each" pipelining 1 "$mails"
    count "$name, one by one, a session each" "$each" one_by_one 1 "$mails"
    stop_mimicryd
done <<END
by lettre|smtp://127.0.0.1:$port_back|40|60
ours, LMTP over TCP|lmtp://127.0.0.1:$port_lmtp|30|50
ours, a unix socket|smtp://$socket|30|50
END
((${#missed[@]} == 0)) || fail "too many calls: ${missed[*]}"
