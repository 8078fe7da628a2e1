# perl ask.pl PORT CONTROL: for each line of standard input, of fields separated by tabs, one SMTP session with a mail server on loopback.
# The first field says whether the tables are there (`with`), or are removed before (`without`); the others are commands. Of
# `AUTH LOGIN PASSWORD` AUTH PLAIN is made. For each command the last line of its answer is printed.
use strict;
use warnings;
use IO::Socket::INET;
use MIME::Base64;

$| = 1;
my ($port, $control) = @ARGV;
my $read = sub { my $from = shift; while (defined(my $line = <$from>)) { $line =~ s/\r?\n//; return $line if $line !~ /^\d{3}-/ } "closed" };
while (my $asked = <STDIN>) {
    chomp $asked;
    my ($state, @commands) = split /\t/, $asked;
    unlink glob "$control/*.cdb" if $state eq "without";
    my $server;
    for (1 .. 300) {
        $server = IO::Socket::INET->new("127.0.0.1:$port") and last;
        select undef, undef, undef, 0.1;
    }
    $server or die "nothing listens on port $port: $!\n";
    $server->autoflush;
    $read->($server);
    for (@commands) {
        s/^AUTH (\S+) (.*)/"AUTH PLAIN " . encode_base64("\0$1\0$2", "")/e;
        print $server "$_\r\n";
        print $read->($server), "\n";
    }
}
