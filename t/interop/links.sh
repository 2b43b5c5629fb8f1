#!/bin/bash
# The user of the workers puts links in the place of what root opens: root follows none, and gives nothing away.
. "$(dirname "$0")/common.bash"

need_root
need_mimicryd

free_port port_in
port_back=0
write_config "Sent by Example Ltd, no. 123456"
mkdir "$work/run" "$work/mail" "$work/theirs" "$work/ours"
chown nobody "$work/mail" "$work/theirs"
sed -i \
    -e "s|^target = .*|target = \"file:$work/theirs/log\"|" \
    -e "s|^spool = .*|spool = \"$work/theirs/spool\"|" \
    -e "s|^next_hop = .*|next_hop = \"maildir://$work/mail/tom\"|" \
    -e "s|^workers = .*|user = \"nobody\"\nworkers = { min = 1, max = 2, spare = 0 }|" \
    "$work/mimicry.toml"
printf '[[listen]]\nname = "unix"\naddress = "unix:%s"\n' "$work/theirs/smtp" >>"$work/mimicry.toml"

# What is not theirs: a file, a directory, and a name where nothing is.
printf 'as it was\n' >"$work/ours/precious"
chmod 600 "$work/ours/precious"
mkdir -m 700 "$work/ours/folder"
facts() { stat -c '%n %u %g %a %s %Y %Z' "$work/ours" "$work/ours/precious" "$work/ours/folder"; }
chmod 711 "$work/ours"
before=$(facts)

at_end+=(stop_swapping)
stop_swapping() { [[ ! -e $work/swapper ]] || kill "$(cat "$work/swapper")"; }

# As the workers' user: links, second names and sockets of others come and go.
cat >"$work/swap.pl" <<'PERL'
use strict;
use POSIX ();
my ($theirs, $ours) = @ARGV;
my $nobody = getpwnam("nobody");
POSIX::setgid((getpwnam("nobody"))[3]);
POSIX::setuid($nobody);
die "still root" if $> == 0;
my $swaps = 0;
while (1) {
    for my $target ("precious", "folder", "nothing") {
        for my $name ("log", "smtp", "spool") {
            my $place = "$theirs/$name";
            rename $place, "$place.real" if -d $place && !-l $place;
            unlink "$theirs/link";
            symlink "$ours/$target", "$theirs/link";
            rename "$theirs/link", $place;
            unlink $place if $swaps % 3 == 0;
            $swaps++;
        }
    }
}
PERL

start_mimicryd
pid=$(cat "$work/run/mimicryd.pid")
perl "$work/swap.pl" "$work/theirs" "$work/ours" &
echo $! >"$work/swapper"
for ((i = 0; i < 1000; i++)); do
    if ((i % 20 == 0)); then kill -HUP "$pid"; else kill -USR1 "$pid"; fi
    sleep 0.002
done
kill -0 "$pid" || fail "the master has gone"
ok "1000 signals against links that come and go"

# Each start binds, makes and gives away anew.
for ((i = 0; i < 20; i++)); do
    stop_mimicryd >>"$work/stop.log" 2>&1 || :
    wait_for 20 [ ! -e "$work/run/mimicryd.pid" ]
    "$mimicryd" run -c "$work/mimicry.toml" >>"$work/start.log" 2>&1 || :
done
stop_swapping
rm "$work/swapper"
[[ $(facts) == "$before" ]] || fail "changed outside: $(facts), before: $before"
[[ $(cat "$work/ours/precious") == "as it was" ]] || fail "what was written is not what it was"
[[ ! -e $work/ours/nothing ]] || fail "a link was followed to what was not there"
[[ -z $(ls -A "$work/ours/folder") ]] || fail "something was made in a directory of root"
ok "root gave nothing away and wrote nothing elsewhere"

[[ -e $work/run/mimicryd.pid ]] || { rm -rf "$work"/theirs/*; "$mimicryd" run -c "$work/mimicry.toml"; }
"$mimicryd" status -c "$work/mimicry.toml" >/dev/null || fail "no answer"
ok "it runs when the links are gone"
