# What the steps share; each begins with: . "$(dirname "$0")/common.bash"
# shellcheck disable=SC2154  # the step sets port_smtp, port_in and port_back
#
# Everything that a step starts listens on loopback, lives below $work, and is stopped when the step ends, however it ends.

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mimicryd=${MIMICRYD-$root/target/debug/mimicryd}
work=$(mktemp -d "${TMPDIR:-/tmp}/mimicry-interop.XXXXXX")
# Postfix and the workers are other users.
chmod 755 "$work"
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C

step=$(basename "$0")
at_end=()

finish() {
    local code=$? action i
    trap - EXIT
    set +e
    for ((i = ${#at_end[@]} - 1; i >= 0; i--)); do
        action=${at_end[i]}
        $action >>"$work/stop.log" 2>&1
    done
    if ((code == 0)); then
        echo "PASS $step"
        rm -rf "$work"
    else
        echo "FAIL $step; what is left is in $work"
        for log in "$work"/*.log; do
            [[ -s $log ]] && { echo "--- $log"; tail -n 40 "$log"; }
        done
    fi
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    echo "failed: $*" >&2
    exit 1
}

ok() { echo "ok: $*"; }

install_package() {
    echo "installing $1"
    {
        # Installing Postfix must not make a mail server of this machine.
        ! command -v debconf-set-selections ||
            echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1"
    } >"$work/install.log" 2>&1 || :
}

# need PROGRAM PACKAGE: installs the package if there is no such program.
need() {
    command -v "$1" >/dev/null && return
    install_package "$2"
    command -v "$1" >/dev/null || fail "$1 is missing, and $2 cannot be installed"
}

# need_perl MODULE PACKAGE: the same for a module of Perl.
need_perl() {
    perl "-M$1" -e 1 2>/dev/null && return
    install_package "$2"
    perl "-M$1" -e 1 || fail "$1 is missing, and $2 cannot be installed"
}

# need_python MODULE PACKAGE: the same for a module of Python; $python becomes an interpreter that has it.
need_python() {
    for python in python3 /usr/bin/python3; do
        "$python" -c "import $1" 2>/dev/null && return
    done
    install_package "$2"
    "$python" -c "import $1" || fail "Python's $1 is missing, and $2 cannot be installed"
}

need_root() { (($(id -u) == 0)) || fail "needs root"; }

need_mimicryd() {
    [[ -x $mimicryd ]] || (cd "$root" && cargo build --quiet --locked -p mimicryd) || fail "cannot build mimicryd"
    # A build at the same time must not change the program under test.
    cp "$mimicryd" "$work/mimicryd"
    mimicryd=$work/mimicryd
}

# The same with every feature, as .ci/run has built it for the tests of features; steps after this one get the ordinary program again.
need_mimicryd_with_features() {
    need pkg-config pkg-config
    pkg-config --exists libssl || install_package libssl-dev
    (
        cd "$root"
        CARGO_PROFILE_DEV_OPT_LEVEL=0 cargo build --quiet --locked --workspace --bins --features pgp,smime,zstd
        cp target/debug/mimicryd "$work/mimicryd"
        cargo build --quiet --locked --workspace --bins
    ) || fail "cannot build mimicryd with its features"
    mimicryd=$work/mimicryd
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || fail "timed out: $*"
        sleep 0.05
    done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port NAME: puts a port that nobody listens on into the variable. Below the range that the kernel gives to clients.
taken=" "
free_port() {
    local port
    while :; do
        port=$((20001 + RANDOM % 12000))
        [[ $taken == *" $port "* ]] && continue
        listens "$port" || break
    done
    taken+="$port "
    printf -v "$1" %s "$port"
}

# begin: what a step around an MTA wants first. The MTA listens on $port_smtp, mimicryd on $port_in, and it hands on to
# $port_back.
begin() {
    need swaks swaks
    need_root
    need_mimicryd
    free_port port_smtp
    free_port port_in
    free_port port_back
    footer="Sent by Example Ltd, no. 123456"
    samples=$root/t/mail
}

# The user of the workers of a daemon that root starts.
worker_user() { id -un mimicry 2>/dev/null || echo nobody; }

# write_config FOOTER [LISTEN_SETTING]: $work/mimicry.toml, for $port_in to $port_back.
write_config() {
    cat >"$work/mimicry.toml" <<TOML
[daemon]
pid_file = "$work/run/mimicryd.pid"
control = "$work/run/control"
spool = "$work/spool"
state = "$work/state"
workers = { min = 2, max = 8, spare = 1 }
drain_timeout = "5s"

[log]
target = "file:$work/mimicry.log"

[[listen]]
name = "from-mta"
address = "127.0.0.1:$port_in"
${2-}

[relay]
next_hop = "smtp://127.0.0.1:$port_back"

[[rule]]
name = "footer"
plugin = "disclaim"
match = { sender = '@(mail\.)?example\.org$' }
options = { text = "$1", html = "<p>$1</p>" }
TOML
}

start_mimicryd() {
    at_end+=(stop_mimicryd)
    "$mimicryd" run -c "$work/mimicry.toml" || fail "mimicryd does not start"
}

stop_mimicryd() { "$mimicryd" stop -c "$work/mimicry.toml"; }

# new_postfix MAIN MASTER: an instance of its own below $work, from these two files and $port_smtp and $port_back. It
# delivers tom@example.net and eva@example.net into maildirs below $work/mail.
new_postfix() {
    postfix_dir=$work/postfix
    mkdir -p "$postfix_dir" "$work/queue" "$work/data" "$work/mail"
    chown postfix "$work/data"
    chown nobody "$work/mail"
    cat >"$postfix_dir/main.cf" <<CF
compatibility_level = 3.6
queue_directory = $work/queue
data_directory = $work/data
maillog_file = $work/postfix.log
maillog_file_prefixes = $work
multi_instance_enable = no
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.net
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
local_header_rewrite_clients =
notify_classes =
smtpd_peername_lookup = no
virtual_mailbox_domains = example.net
virtual_mailbox_base = $work/mail
virtual_mailbox_maps = inline:{tom@example.net=tom/ eva@example.net=eva/}
virtual_uid_maps = static:$(id -u nobody)
virtual_gid_maps = static:$(id -g nobody)
message_size_limit = 104857600
virtual_mailbox_limit = 0
CF
    cat "$1" >>"$postfix_dir/main.cf"
    cat >"$postfix_dir/master.cf" <<CF
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
CF
    cat "$2" >>"$postfix_dir/master.cf"
    # The samples' ports become those of this run.
    sed -i "s/\\b10025\\b/$port_in/; s/\\b10026\\b/$port_back/; s/^smtp inet/127.0.0.1:$port_smtp inet/" \
        "$postfix_dir/main.cf" "$postfix_dir/master.cf"
}

# new_postfix_with_kept_connections: one as the samples set it up after the queue, whose connections to mimicryd are kept whether many
# mails wait or not. All mail is for tom.
new_postfix_with_kept_connections() {
    {
        sed 's/^    -o max_use=100$/&\n    -o smtp_connection_cache_destinations=[127.0.0.1]:10025,127.0.0.1/' \
            "$root/etc/postfix/after-queue.master.cf"
        echo "smtp inet n - n - - smtpd"
    } >"$work/master.cf"
    new_postfix "$root/etc/postfix/after-queue.main.cf" "$work/master.cf"
    echo 'virtual_mailbox_maps = static:tom/' >>"$postfix_dir/main.cf"
}

# arrived: how many mails tom has. has_arrived N: so many, or more.
arrived() { find "$work/mail/tom/new" -type f 2>/dev/null | wc -l; }
has_arrived() { (($(arrived) >= $1)); }

# start_seven_bits: mimicryd between the client and a Postfix that hands each mail to a server of 7 bits: itself, on a third port.
# $mails_of_anna are some that have reasons to be encoded anew on the way.
start_seven_bits() {
    port_seven=
    free_port port_seven
    echo "content_filter = seven:[127.0.0.1]:$port_seven" >"$work/main.cf"
    cat >"$work/master.cf" <<CF
seven unix - - n - - smtp
127.0.0.1:$port_back inet n - n - - smtpd
smtp inet n - n - - smtpd
127.0.0.1:$port_seven inet n - n - - smtpd
    -o content_filter=
    -o smtpd_discard_ehlo_keywords=8bitmime,chunking,smtputf8
CF
    new_postfix "$work/main.cf" "$work/master.cf"
    start_postfix
    wait_for 10 listens "$port_seven"
    start_mimicryd
    port_smtp=$port_in
    mapfile -t mails_of_anna < <(grep -l -i '^From:.*anna\.berg@example\.org' \
        "$samples"/{charset,flowed,html,outlook,related,roundcube,sogo}*.eml | head -n 12)
    ((${#mails_of_anna[@]} >= 5)) || fail "there are few mails of Anna's"
}

# need_dovecot: with its LMTP. $dovecot_dir is where a server of its own will live.
need_dovecot() {
    need dovecot dovecot-core
    [[ -x /usr/lib/dovecot/lmtp ]] || install_package dovecot-lmtpd
    [[ -x /usr/lib/dovecot/lmtp ]] || fail "Dovecot's LMTP is missing, and dovecot-lmtpd cannot be installed"
    dovecot_dir=$work/dovecot
    mkdir -p "$dovecot_dir" "$work/mail"
    chown nobody "$work/mail"
}

# new_dovecot SETTINGS: LMTP on $work/lmtp.sock and on $port_back, for those who stand in $dovecot_dir/users, with the
# settings of this file, too. Without any there is no TLS.
new_dovecot() {
    cat >"$dovecot_dir/dovecot.conf" <<CONF
base_dir = $dovecot_dir/run
state_dir = $dovecot_dir/state
instance_name = $(basename "$work")
log_path = $work/dovecot.log
protocols = lmtp
listen = 127.0.0.1
ssl = no
mail_location = maildir:$work/mail/%n
mail_plugins = quota
first_valid_uid = 1
plugin {
  quota = maildir:User quota
}
passdb {
  driver = passwd-file
  args = $dovecot_dir/users
}
userdb {
  driver = passwd-file
  args = $dovecot_dir/users
}
service lmtp {
  unix_listener $work/lmtp.sock {
    mode = 0666
  }
  inet_listener lmtp {
    address = 127.0.0.1
    port = $port_back
  }
}
CONF
    cat "$1" >>"$dovecot_dir/dovecot.conf"
}

start_dovecot() {
    at_end+=(stop_dovecot)
    dovecot -c "$dovecot_dir/dovecot.conf" >"$work/start.log" 2>&1 || fail "dovecot does not start"
    wait_for 10 listens "$port_back"
}

stop_dovecot() {
    local pid
    pid=$(cat "$dovecot_dir/run/master.pid") || return
    kill "$pid"
    wait_for 10 gone "$pid"
}

gone() { ! kill -0 "$1"; }

# new_jail PACKAGE USER...: $jail, a root of its own with the files of a Debian package, the libraries that they need, a
# shell and these users. For packages that cannot be installed beside Postfix. Nobody outside has a name in it.
new_jail() {
    local package=$1 depends library node user number=901
    shift
    jail=$work/jail
    mkdir -p "$jail"/{bin,dev,etc,home,run,tmp,var/run,var/spool} "$work/deb" "$work/mail"
    echo "fetching $package"
    (cd "$work/deb" && { apt-get download -qq "$package" || { apt-get update -qq && apt-get download -qq "$package"; }; }) \
        >"$work/download.log" 2>&1 || fail "$package cannot be fetched: $(cat "$work/download.log")"
    dpkg -x "$work/deb/$package"_*.deb "$jail"
    depends=$(dpkg-deb -f "$work/deb/$package"_*.deb Depends | tr ',' '\n' | sed -n 's/^ *\(lib[^ |]*\).*/\1/p')
    for library in $depends; do
        dpkg -s "$library" >/dev/null 2>&1 || install_package "$library"
    done
    cp "$(command -v dash)" "$jail/bin/sh"
    find "$jail" -type f -perm -u+x -exec ldd {} ';' >"$work/ldd" 2>/dev/null || :
    ! grep "not found" "$work/ldd" || fail "the libraries of $package cannot be installed"
    grep -o '/[^ ]*\.so[^ ]*' "$work/ldd" | sort -u >"$work/libraries"
    while read -r library; do cp -L --parents "$library" "$jail"; done <"$work/libraries"
    for node in null:3 zero:5 random:8 urandom:9; do
        mknod -m 666 "$jail/dev/${node%:*}" c 1 "${node#*:}"
    done
    chmod 1777 "$jail/tmp"
    echo "127.0.0.1 localhost" >"$jail/etc/hosts"
    echo "mx.example.net" >"$jail/etc/mailname"
    echo "smtp 25/tcp" >"$jail/etc/services"
    echo "root:x:0:0:root:/:/bin/sh" >"$jail/etc/passwd"
    echo "root:x:0:" >"$jail/etc/group"
    for user; do
        echo "$user:x:$number:$number:$user:/home/$user:/bin/sh" >>"$jail/etc/passwd"
        echo "$user:x:$number:" >>"$jail/etc/group"
        mkdir -p "$jail/home/$user"
        chown "$number:$number" "$jail/home/$user"
        # Where has_mail looks.
        ln -s "$jail/home/$user/Maildir" "$work/mail/$user"
        number=$((number + 1))
    done
}

# new_exim: Exim in a jail, set up by the samples and what every Exim has. nobody@ is refused
# when the mail comes back only. $mta_log is its log.
new_exim() {
    new_jail exim4-daemon-light Debian-exim tom eva

    mkdir -p "$jail/etc/exim4" "$jail/var/spool/exim4" "$jail/var/log/exim4" "$jail/run/exim4" "$jail/var/lib/exim4"
    chown 901:901 "$jail/var/spool/exim4" "$jail/var/log/exim4" "$jail/run/exim4"
    local samples_of=$root/etc/exim
    {
        cat "$samples_of/mimicry.main"
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
        cat "$samples_of/mimicry.acl"
        cat <<CONF
accept
  domains = +local_domains
  verify = recipient
deny
  message = relaying denied
begin routers
CONF
        cat "$samples_of/mimicry.router"
        cat <<CONF
users:
  driver = accept
  domains = +local_domains
  local_parts = tom : eva : nobody
  transport = maildir
begin transports
CONF
        cat "$samples_of/mimicry.transport"
        cat <<CONF
maildir:
  driver = appendfile
  directory = /home/\$local_part_data/Maildir
  maildir_format
  create_directory
  user = \$local_part_data
begin retry
CONF
        cat "$samples_of/mimicry.retry"
    } >"$jail/etc/exim4/exim4.conf"
    sed -i "s/\\b10025\\b/$port_in/; s/\\b10026\\b/$port_back/; s/\\b0\\.0\\.0\\.0\\.25\\b/127.0.0.1.$port_smtp/" "$jail/etc/exim4/exim4.conf"
    mta_log=$jail/var/log/exim4/mainlog
}

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
    cp "$mta_log" "$work/exim.log"
    kill "$(cat "$jail/run/exim4/exim.pid")"
}

# new_opensmtpd: OpenSMTPD in a jail, set up by the sample. $mta_log is its log.
new_opensmtpd() {
    new_jail opensmtpd opensmtpd opensmtpq tom eva

    mkdir -p "$jail/var/lib/opensmtpd/empty"
    # What stands in the package's script that makes it setgid.
    chgrp 902 "$jail/usr/sbin/smtpctl"
    chmod 2755 "$jail/usr/sbin/smtpctl"
    sed "s/\\b10025\\b/$port_in/; s/\\b10026\\b/$port_back/; s/0\\.0\\.0\\.0 port 25\\b/127.0.0.1 port $port_smtp/" \
        "$root/etc/opensmtpd/smtpd.conf" >"$jail/etc/smtpd.conf"
    mta_log=$work/opensmtpd.log
}

start_opensmtpd() {
    chroot "$jail" /usr/sbin/smtpd -n >"$work/check.log" 2>&1 || fail "smtpd.conf: $(cat "$work/check.log")"
    at_end+=(stop_opensmtpd)
    chroot "$jail" /usr/sbin/smtpd -d -v >"$mta_log" 2>&1 &
    smtpd=$!
    wait_for 10 listens "$port_smtp"
    wait_for 10 listens "$port_back"
}

stop_opensmtpd() {
    kill "$smtpd"
    wait "$smtpd"
}

start_postfix() {
    # What an earlier line sets and a sample sets again, Postfix warns of; nothing else may be wrong.
    postfix -c "$postfix_dir" check >"$work/check.log" 2>&1 || fail "postfix check: $(cat "$work/check.log")"
    at_end+=(stop_postfix)
    postfix -c "$postfix_dir" start >"$work/start.log" 2>&1 || fail "postfix does not start"
    wait_for 10 listens "$port_smtp"
    wait_for 10 listens "$port_back"
}

stop_postfix() { postfix -c "$postfix_dir" stop; }

# send FILE FROM TO [SWAKS_OPTION...]: octet for octet, as swaks alone would not. The line end behind the last dot is its.
send() {
    local file=$1 from=$2 to=$3
    shift 3
    { sed 's/^\./../' "$file"; printf .; } >"$work/data.eml"
    swaks --server 127.0.0.1 --port "$port_smtp" --helo client.example.org --from "$from" --to "$to" \
        --data "@$work/data.eml" --no-data-fixup "$@" >"$work/swaks.log" 2>&1
}

# delivered WHO: waits for one mail in that maildir and moves it to $mail.
delivered() {
    mail=$work/delivered.eml
    rm -f "$mail"
    wait_for 20 has_mail "$1"
    local files=("$work/mail/$1/new"/*)
    ((${#files[@]} == 1)) || fail "$1 has ${#files[@]} mails instead of one"
    mv "${files[0]}" "$mail"
}

has_mail() { compgen -G "$work/mail/$1/new/*"; }

# text_mail: the footer comes once.
text_mail() {
    send "$samples/demo-text.eml" anna@example.org tom@example.net || fail "the text mail was not taken"
    delivered tom
    (($(times "$footer" "$mail") == 1)) || fail "the text mail has the footer $(times "$footer" "$mail") times"
    ok "text mail: the footer is there once"
}

# newsletter: the footer comes once into each variant, and the attachments are as they were.
newsletter() {
    send "$samples/demo-newsletter.eml" news@mail.example.org tom@example.net || fail "the newsletter was not taken"
    delivered tom
    (($(times "$footer" "$mail") == 2)) || fail "the newsletter has the footer $(times "$footer" "$mail") times, not once in text and once in HTML"
    (($(times "<p>$footer</p>" "$mail") == 1)) || fail "the newsletter's HTML has no footer of its own"
    # The second delimiter begins the first attachment.
    as_stored "$samples/demo-newsletter.eml" | from_line 2 --=_news_2024_05 >"$work/attachments"
    from_line 2 --=_news_2024_05 <"$mail" >"$work/attachments.delivered"
    (($(wc -c <"$work/attachments") > 4000)) || fail "the newsletter has no attachments to compare"
    cmp "$work/attachments" "$work/attachments.delivered" || fail "the attachments were changed"
    ok "newsletter: the footer is once in text and once in HTML, attachments are as they were"
}

# mail_to_two: to tom and to eva.
mail_to_two() {
    send "$samples/demo-text.eml" anna@example.org tom@example.net,eva@example.net || fail "the mail to two was not taken"
    local who
    for who in tom eva; do
        delivered "$who"
        (($(times "$footer" "$mail") == 1)) || fail "$who has the footer $(times "$footer" "$mail") times"
    done
    ok "two recipients: each has one mail with one footer"
}

# signed_mail: every octet below the trace fields is as it was.
signed_mail() {
    send "$samples/demo-pgp-signed.eml" anna@example.org tom@example.net || fail "the signed mail was not taken"
    delivered tom
    as_stored "$samples/demo-pgp-signed.eml" >"$work/signed"
    tail -c "$(wc -c <"$work/signed")" "$mail" | cmp "$work/signed" - || fail "the signed mail was changed"
    ok "PGP-signed mail: every octet below the trace fields is as it was"
}

# How often the text is in the file.
times() { grep -o -F -e "$1" "$2" | wc -l; }

# Postfix stores lines that end in LF.
as_stored() { tr -d '\r' <"$1"; }

# from_line N TEXT: from the Nth line that is TEXT to the end.
from_line() { awk -v text="$2" -v n="$1" '$0 == text { seen++ } seen >= n'; }
