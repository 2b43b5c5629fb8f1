#!/bin/bash
# Exim, mimicryd, Exim, maildir, set up by the samples in etc/exim: the footer comes once, the rest stays.
. "$(dirname "$0")/common.bash"

begin
write_config "$footer"
new_jail exim4-daemon-light Debian-exim tom eva

# The samples, and what every Exim has. nobody@ is refused when the mail comes back only.
mkdir -p "$jail/etc/exim4" "$jail/var/spool/exim4" "$jail/var/log/exim4" "$jail/run/exim4" "$jail/var/lib/exim4"
chown 901:901 "$jail/var/spool/exim4" "$jail/var/log/exim4" "$jail/run/exim4"
exim=$root/etc/exim
{
    cat "$exim/mimicry.main"
    cat <<CONF
primary_hostname = mx.example.net
domainlist local_domains = example.net
disable_ipv6
acl_smtp_rcpt = acl_check_rcpt
exim_user = Debian-exim
exim_group = Debian-exim
never_users = root
rfc1413_query_timeout = 0s
keep_environment =
log_selector = +smtp_protocol_error
begin acl
acl_check_rcpt:
deny
  local_parts = nobody
  condition = \${if eq{\$received_port}{10026}}
  message = 5.1.1 no such user
CONF
    cat "$exim/mimicry.acl"
    cat <<CONF
accept
  domains = +local_domains
  verify = recipient
deny
  message = relaying denied
begin routers
CONF
    cat "$exim/mimicry.router"
    cat <<CONF
users:
  driver = accept
  domains = +local_domains
  local_parts = tom : eva : nobody
  transport = maildir
begin transports
CONF
    cat "$exim/mimicry.transport"
    cat <<CONF
maildir:
  driver = appendfile
  directory = /home/\$local_part_data/Maildir
  maildir_format
  create_directory
  user = \$local_part_data
begin retry
CONF
    cat "$exim/mimicry.retry"
} >"$jail/etc/exim4/exim4.conf"
sed -i "s/\\b10025\\b/$port_in/; s/\\b10026\\b/$port_back/; s/\\b0\\.0\\.0\\.0\\.25\\b/127.0.0.1.$port_smtp/" "$jail/etc/exim4/exim4.conf"
log=$jail/var/log/exim4/mainlog

in_jail() { chroot "$jail" /usr/sbin/exim4 "$@"; }

start_exim() {
    in_jail -bV >"$work/check.log" 2>&1 || fail "Exim does not take its configuration: $(cat "$work/check.log")"
    at_end+=(stop_exim)
    in_jail -bd -q1m -oP /run/exim4/exim.pid >"$work/start.log" 2>&1 || fail "Exim does not start: $(cat "$work/start.log")"
    wait_for 10 listens "$port_smtp"
    wait_for 10 listens "$port_back"
}

stop_exim() {
    # What finish shows when the step has failed.
    cp "$log" "$work/exim.log"
    kill "$(cat "$jail/run/exim4/exim.pid")"
}

start_exim
start_mimicryd

text_mail
(($(times "by mx.example.net with esmtp (Exim" "$mail") == 2)) || fail "the text mail did not go through Exim twice"
newsletter
signed_mail

mail_to_two

send "$samples/demo-text.eml" anna@example.org none@example.net && fail "an unknown recipient was taken"
ok "unknown recipient: refused to the client"

send "$samples/demo-text.eml" tom@example.net nobody@example.net || fail "the mail that is to bounce was not taken"
delivered tom
grep -q "550 5\.1\.1 no such user" "$mail" || fail "the bounce does not quote the next hop"
ok "refused for good when it comes back: the sender has a bounce in the next hop's words"

# Without mimicryd mail waits in the queue, and comes when it is back.
stop_mimicryd >/dev/null
send "$samples/demo-text.eml" anna@example.org tom@example.net || fail "Exim takes no mail while mimicryd is away"
wait_for 15 grep -q " == tom@example.net .*Connection refused" "$log"
"$mimicryd" run -c "$work/mimicry.toml"
in_jail -qff
delivered tom
(($(times "$footer" "$mail") == 1)) || fail "the mail that waited has the footer $(times "$footer" "$mail") times"
wait_for 10 test -z "$(in_jail -bpc | grep -v '^0$')"
ok "mimicryd away: the mail waits and comes with its footer, once"
