# perl ask.pl PORT CONTROL [tls]: for each line of standard input, of fields separated by tabs, one SMTP session with a mail server on
# loopback, with `tls` after STARTTLS. The first field says whether the tables are there (`with`), or are removed before
# (`without`); the others are commands. `PLAIN LOGIN PASSWORD` and `LOGIN LOGIN PASSWORD` stand for AUTH. For each command the last
# line of its answer is printed.
# perl ask.pl --names: a name server on loopback, which knows no name, so that nothing waits for one.
# perl ask.pl --relay: a mail server on port 26, to which another hands on what it gets.
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
if ($ARGV[0] eq '--relay') {
    my $relay = IO::Socket::INET->new(LocalAddr => "127.0.0.1:26", Listen => 50, ReuseAddr => 1) or die "port 26: $!\n";
    $SIG{CHLD} = 'IGNORE';
    while (my $client = $relay->accept) {
        next if fork;
        $client->autoflush;
        print $client "220 relay\r\n";
        while (<$client>) { print $client "250 ok\r\n" }
        exit;
    }
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
alarm 150; # Nothing here takes so long, also on a busy machine.
my ($port, $control, $tls) = @ARGV;
my ($from, $to);
my $read = sub { while (defined(my $line = <$from>)) { $line =~ s/\r?\n//; return $line if $line !~ /^\d{3}-/ } "closed" };
my $ask = sub { local $SIG{PIPE} = 'IGNORE'; print $to "$_[0]\r\n"; $read->() };

# One session; what it prints goes to a file.
sub session {
    my ($file, @commands) = @_;
    open my $out, '>', $file or die "$file: $!\n";
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
        print $out "$answer\n";
    }
    close $to;
    close $from;
    kill TERM => $openssl if $openssl;
}

# Some at once: many servers let a client wait that is often refused.
my ($count, @running) = (0);
while (my $asked = <STDIN>) {
    chomp $asked;
    my ($state, @commands) = split /\t/, $asked;
    my $limit = $state eq "without" ? 0 : 19;
    waitpid shift @running, 0 while @running > $limit;
    unlink glob "$control/*.cdb" if $state eq "without";
    my $file = "/tmp/answers." . $count++;
    defined(my $child = fork) or die "fork: $!\n";
    if (!$child) {
        session($file, @commands);
        exit;
    }
    push @running, $child;
}
waitpid $_, 0 for @running;
for (0 .. $count - 1) {
    open my $in, '<', "/tmp/answers.$_" or die "session $_: $!\n";
    print <$in>;
}
