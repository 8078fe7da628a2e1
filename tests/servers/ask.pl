# perl ask.pl PORT CONTROL [tls]: for each line of standard input, of fields separated by tabs, one SMTP session with a mail server on
# loopback, with `tls` after STARTTLS. The first field says whether the tables are there (`with`), or are removed before
# (`without`); the others are commands. `PLAIN LOGIN PASSWORD` and `LOGIN LOGIN PASSWORD` stand for AUTH. For each command the last
# line of its answer is printed.
# perl ask.pl --names: a name server on loopback, which knows no name, so that nothing waits for one.
# perl ask.pl --await PLACE: waits until something listens at this port of loopback, or on this unix socket.
use strict;
use warnings;
use IO::Socket::INET;
use IO::Socket::UNIX;
use IPC::Open2;
use MIME::Base64;

sub connected {
    my $place = shift;
    for (1 .. 600) {
        my $server = $place =~ m{^/} ? IO::Socket::UNIX->new($place) : IO::Socket::INET->new("127.0.0.1:$place");
        return $server if $server;
        select undef, undef, undef, 0.05;
    }
    die "nothing listens at $place: $!\n";
}

if ($ARGV[0] eq '--await') {
    connected($ARGV[1]);
    exit;
}
if ($ARGV[0] eq '--names') {
    my $names = IO::Socket::INET->new(LocalAddr => "127.0.0.1:53", Proto => "udp") or die "port 53: $!\n";
    while ($names->recv(my $asked, 512)) {
        substr $asked, 2, 2, "\x81\x83";
        $names->send($asked);
    }
    exit;
}
$| = 1;
alarm 100; # No answer takes so long.
my ($port, $control, $tls) = @ARGV;
my ($from, $to);
my $read = sub { while (defined(my $line = <$from>)) { $line =~ s/\r?\n//; return $line if $line !~ /^\d{3}-/ } "closed" };
my $ask = sub { local $SIG{PIPE} = 'IGNORE'; print $to "$_[0]\r\n"; $read->() };
while (my $asked = <STDIN>) {
    chomp $asked;
    my ($state, @commands) = split /\t/, $asked;
    unlink glob "$control/*.cdb" if $state eq "without";
    my ($server, $openssl) = connected($port);
    if ($tls) {
        close $server;
        $openssl = open2($from, $to, "openssl s_client -quiet -starttls smtp -connect 127.0.0.1:$port 2>>/tmp/openssl");
    } else {
        $from = $to = $server;
        $read->();
    }
    $to->autoflush;
    for (@commands) {
        my ($how, $login, $password) = split / /, $_, 3;
        my $answer;
        if ($how eq "PLAIN") {
            $answer = $ask->("AUTH PLAIN " . encode_base64("\0$login\0$password", ""));
        } elsif ($how eq "LOGIN") {
            $answer = $ask->("AUTH LOGIN");
            $answer = $ask->(encode_base64($_, "")) for $answer =~ /^334/ ? ($login, $password) : ();
        } else {
            $answer = $ask->($_);
        }
        print "$answer\n";
    }
    close $to;
    close $from;
    waitpid $openssl, 0 if $openssl;
}
