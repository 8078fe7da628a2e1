#!/usr/bin/perl
# What of qmail-smtpd concerns its hooks, for tests behind tcpserver: EHLO, MAIL, RCPT, AUTH, RSET, QUIT.
#   RCPTCHECK=PROGRAM  asked as the RCPTCHECK patch does; SPP_RCPT=PROGRAM  as qmail-spp runs a plugin of [rcpt];
#   the arguments are checkpassword and what it runs, as qmail-smtpd with the AUTH patch has them.
use strict;
use warnings;
use POSIX ();

# Descriptors stay open in what is run, as C leaves them.
($|, $^F) = (1, 255);
my ($helo, $sender) = ('', undef);

sub say_line { print "$_[0]\r\n" }

sub line {
    my $line = <STDIN>;
    exit 0 unless defined $line;
    $line =~ s/\r?\n\z//;
    return $line;
}

# perl-base has no MIME::Base64; "u" of unpack is the same code in other letters, with a length before each line.
sub decode_base64 {
    (my $text = $_[0]) =~ tr{A-Za-z0-9+/}{}cd;
    $text =~ tr{A-Za-z0-9+/}{ -_};
    return join '', map { unpack 'u', chr(32 + int(length($_) * 3 / 4)) . $_ } $text =~ /(.{1,60})/gs;
}

# RCPTCHECK: undef accepts, anything else is the reply.
sub rcptcheck {
    my ($recipient) = @_;
    pipe(my $read, my $write) or return '421 unable to make a pipe';
    my $pid = fork // return '421 unable to fork';
    if (!$pid) {
        @ENV{qw(SENDER RECIPIENT HELO)} = ($sender, $recipient, $helo);
        POSIX::dup2(fileno $write, 4) if $ENV{USE_FD4};
        exec { $ENV{RCPTCHECK} } $ENV{RCPTCHECK} or POSIX::_exit(120);
    }
    close $write;
    my $said = join '', <$read>;
    waitpid $pid, 0;
    my $code = $? & 127 ? 120 : $? >> 8;
    $said =~ s/\r?\n\z//;
    return undef if $code != 100 && $code != 111 && $code != 120;
    return $said if $ENV{USE_FD4} && $said =~ /\A[45]\d\d /;
    return $code == 100 ? '553 sorry, no such recipient (#5.7.1)' : '421 unable to check the recipient (#4.3.0)';
}

# A plugin of qmail-spp: undef goes on with qmail's own checks, anything else is the reply; one that ends the session ends it.
sub spp_rcpt {
    my ($recipient) = @_;
    pipe(my $read, my $write) or return '451 qmail-spp failure';
    my $pid = fork // return '451 qmail-spp failure';
    if (!$pid) {
        @ENV{qw(SMTPMAILFROM SMTPRCPTTO SMTPHELOHOST SMTPRCPTHOSTSOK)} = ($sender, $recipient, $helo, 1);
        POSIX::close(0);
        POSIX::dup2(fileno $write, 1);
        exec { $ENV{SPP_RCPT} } $ENV{SPP_RCPT} or POSIX::_exit(120);
    }
    close $write;
    my ($reply, $last) = (undef, '');
    while ($last eq '' && defined(my $command = <$read>)) {
        chomp $command;
        if ($command =~ /\A([ER])(.*)/) { ($last, $reply) = ($1, $2) }
        elsif ($command =~ /\A([ANOD])/) { $last = $1 }
    }
    close $read;
    waitpid $pid, 0;
    return '451 qmail-spp failure: child crashed (#4.3.0)' if $? & 127;
    return "451 qmail-spp failure: can't execute (#4.3.0)" if $? >> 8 == 120;
    if ($last eq 'R') { say_line($reply); exit 0 }
    return $reply;
}

# checkpassword on descriptor 3: its exit status.
sub checkpassword {
    my ($login, $password) = @_;
    pipe(my $read, my $write) or return 111;
    my $pid = fork // return 111;
    if (!$pid) {
        close $write;
        POSIX::dup2(fileno $read, 3);
        exec { $ARGV[0] } @ARGV or POSIX::_exit(111);
    }
    close $read;
    local $SIG{PIPE} = 'IGNORE';
    print {$write} "$login\0$password\0\0";
    close $write;
    waitpid $pid, 0;
    return $? & 127 ? 111 : $? >> 8;
}

sub auth {
    my ($how, $first) = @_;
    my ($login, $password);
    if (uc $how eq 'PLAIN') {
        if (!defined $first) { say_line('334 '); $first = line() }
        (undef, $login, $password) = split /\0/, decode_base64($first), -1;
    } else {
        say_line('334 VXNlcm5hbWU6');
        $login = decode_base64(line());
        say_line('334 UGFzc3dvcmQ6');
        $password = decode_base64(line());
    }
    my $code = checkpassword($login, $password);
    return say_line('535 authorization failed (#5.7.0)') if $code == 1 || $code == 2;
    return say_line('454 oops, problem with child and I can\'t auth (#4.3.0)') if $code != 0;
    say_line('235 ok, go ahead (#2.0.0)');
}

say_line('220 test ESMTP');
while (1) {
    my $line = line();
    if ($line =~ /\AEHLO (.*)/i) { $helo = $1; say_line('250-test'); say_line('250 AUTH LOGIN PLAIN') }
    elsif ($line =~ /\AMAIL FROM:<(.*)>\z/i) { $sender = $1; say_line('250 ok') }
    elsif ($line =~ /\ARCPT TO:<(.*)>\z/i) {
        my $reply = defined $sender ? undef : '503 MAIL first (#5.5.1)';
        $reply //= rcptcheck($1) if $ENV{RCPTCHECK};
        $reply //= spp_rcpt($1) if $ENV{SPP_RCPT};
        say_line($reply // '250 ok');
        exit 0 if defined $reply && $reply =~ /\A421/;
    }
    elsif ($line =~ /\AAUTH (PLAIN|LOGIN)(?: (.*))?\z/i) { auth($1, $2) }
    elsif ($line =~ /\ARSET\z/i) { $sender = undef; say_line('250 flushed') }
    elsif ($line =~ /\AQUIT\z/i) { say_line('221 test'); exit 0 }
    else { say_line('502 unimplemented (#5.5.1)') }
}
