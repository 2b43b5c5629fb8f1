# Verifies mails with Mail::DKIM: for each file that is named on standard input, a line `FILE RESULT RESULT...`, one result for each of
# its first two signatures; with `arc` as the second argument the one result of its chain. The records of the DNS are in the file that
# the first argument names: `NAME TAB TEXT` in each line.
#
# Known limits: Mail::DKIM before 1.20230212 knows no Ed25519; then that signature is `unknown`.

use strict;
use warnings;

use Mail::DKIM::ARC::Verifier;
use Mail::DKIM::DNS;
use Mail::DKIM::Verifier;
use Net::DNS;

my %records;
open my $list, '<', $ARGV[0] or die "$ARGV[0]: $!";
while (my $line = <$list>) {
    chomp $line;
    my ($name, $text) = split /\t/, $line, 2;
    $records{lc $name} = $text;
}

{
    no warnings 'redefine';
    *Mail::DKIM::DNS::query = sub {
        my ($name, $type) = @_;
        my $text = $records{lc $name} or return;
        return Net::DNS::RR->new(owner => $name, type => 'TXT', txtdata => [unpack '(a250)*', $text]);
    };
}

while (my $path = <STDIN>) {
    chomp $path;
    my @results = eval {
        local $SIG{__WARN__} = sub { };
        open my $mail, '<:raw', $path or die "$path: $!";
        local $/;
        my $octets = <$mail>;
        my $is_arc = ($ARGV[1] // '') eq 'arc';
        my $verifier = $is_arc ? Mail::DKIM::ARC::Verifier->new : Mail::DKIM::Verifier->new;
        $verifier->PRINT($octets);
        $verifier->CLOSE;
        $is_arc ? $verifier->result : map { $_->result } grep { defined } ($verifier->signatures)[0, 1];
    };
    push @results, "died: $@" if $@;
    print join("\t", $path, @results), "\n";
}
