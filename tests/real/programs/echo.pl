#!/usr/bin/perl
# usage: echo.pl server PORT | client HOST PORT: IO::Socket, buffered reads and prints on a socket, IO::Select.
use strict;
use warnings;
use IO::Select;
use IO::Socket::IP;

my ($mode, @rest) = @ARGV;
if ($mode eq 'server') {
    my $listening = IO::Socket::IP->new(LocalHost => '::', LocalPort => $rest[0], V6Only => 0, Listen => 16, ReuseAddr => 1)
        or die "listen: $@";
    my $select = IO::Select->new($listening);
    while (1) {
        for my $ready ($select->can_read) {
            if ($ready == $listening) { $select->add($listening->accept); next }
            my $line = <$ready>;
            if (!defined $line) { $select->remove($ready); close $ready; next }
            print $ready $line;
            $ready->flush;
        }
    }
}
$SIG{ALRM} = sub { die "out of time\n" };
alarm 60;
for my $turn (1 .. 20) {
    my $socket = IO::Socket::IP->new(PeerHost => $rest[0], PeerPort => $rest[1]) or die "connect: $@";
    for my $length (1, 100, 5000) {
        my $line = chr(97 + $turn) x $length . "\n";
        print $socket $line;
        $socket->flush;
        my $got = <$socket>;
        die "line differs\n" unless defined $got && $got eq $line;
    }
    shutdown $socket, 1;
    die "no end\n" if defined <$socket>;
    close $socket or die "close: $!";
}
