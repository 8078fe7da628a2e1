#!/usr/bin/perl
# rebuild.pl ROOT VALIDRCPTTO AUTH: both tables as an administrator's script would make them, for the benchmark.
# It walks users/assign, reads each vpasswd, and opens every dot-qmail file. It knows what the benchmark's hosts hold,
# and not much more: no modes and owners, no accounts, no limits, no wildcards but +domain-.
use strict;
use warnings;
use CDB_File;

use constant { BOUNCE_MAIL => 0x10, NO_SMTP_AUTH => 0x800 };

my ($root, $recipients_file, $logins_file) = @ARGV;
die "usage: rebuild.pl ROOT VALIDRCPTTO AUTH\n" unless defined $logins_file;
umask 077;
my $control = "$root/var/qmail/control";

sub entries {
    my ($file) = @_;
    open my $in, '<', $file or die "unable to read $file: $!\n";
    my @entries;
    while (my $line = <$in>) {
        $line =~ s/[ \t\n]+\z//;
        push @entries, lc $line unless $line eq '' || $line =~ /^#/;
    }
    return @entries;
}

# What a dot-qmail file does with a message: accept, bounce, or ask for a mailbox; and then its catch-all.
sub classify {
    my ($file) = @_;
    open my $in, '<', $file or die "unable to read $file: $!\n";
    while (my $line = <$in>) {
        $line =~ s/[ \t\n]+\z//;
        next if $line =~ /^#/;
        if ($line =~ /^\|\s*(\S+)\s*(.*)/) {
            my ($program, $rest) = ($1, $2);
            return 'bounce' if $program =~ m{(?:^|/)bouncesaying\z};
            return ('mailbox', $rest =~ /(\S+)\z/ ? $1 : '') if $program =~ m{/vdelivermail\z};
        }
        return 'accept';
    }
    return 'accept';
}

my %accepted_host = map { $_ => 1 } entries("$control/rcpthosts");
my %is_virtual = map { /^([^:]+):(.+)/ && $1 eq $2 ? ($1 => 1) : () } entries("$control/virtualdomains");
my $recipients = CDB_File->new($recipients_file, "$recipients_file.tmp") or die "$recipients_file.tmp: $!\n";
my $logins = CDB_File->new($logins_file, "$logins_file.tmp") or die "$logins_file.tmp: $!\n";

my $assign = "$root/var/qmail/users/assign";
open my $lines, '<', $assign or die "unable to read $assign: $!\n";
while (my $line = <$lines>) {
    last if $line =~ /^\./;
    next unless $line =~ /^\+([^:]+)-:[^:]*:\d+:\d+:([^:]+):-::/;
    my ($domain, $home) = (lc $1, "$root$2");
    my $mail = $accepted_host{$domain} && $is_virtual{$domain};

    opendir my $folder, $home or die "unable to read $home: $!\n";
    my %verdict;
    my ($default, $catchall) = ('bounce', '');
    for my $name (grep { /^\.qmail-/ } readdir $folder) {
        my ($does, $rest) = classify("$home/$name");
        $name = substr $name, length '.qmail-';
        if ($name eq 'default') {
            ($default, $catchall) = ($does, $rest);
            next;
        }
        $verdict{$name} = $does;
        $verdict{ $name =~ tr/:/./r } = $does;
    }
    closedir $folder;

    open my $passwd, '<', "$home/vpasswd" or die "unable to read $home/vpasswd: $!\n";
    while (my $record = <$passwd>) {
        chomp $record;
        my ($user, $crypt, undef, $flags) = split /:/, $record;
        $verdict{$user} //= $flags & BOUNCE_MAIL ? 'bounce' : 'accept' if $default eq 'mailbox';
        next if $flags & NO_SMTP_AUTH || $crypt eq '' || $crypt =~ /^[*!]|,/;
        $logins->insert("$user\@$domain", $crypt);
    }
    close $passwd;

    next unless $mail;
    my $open = $default eq 'accept' || $catchall !~ /^(?:|bounce-no-mailbox|delete)\z/;
    for my $name (keys %verdict) {
        my $accept = $verdict{$name} ne 'bounce';
        # What says the same as the wider key is left out, but for accepted names: people read the list.
        next if $accept ? $open && $name =~ /-default\z/ : !$open;
        $recipients->insert("$name\@$domain", $accept ? '' : '-');
    }
    $recipients->insert("\@$domain", '') if $open;
}
# Without a domain it is always there (RFC 5321).
$recipients->insert('postmaster', '');
$recipients->finish or die "$recipients_file: $!\n";
$logins->finish or die "$logins_file: $!\n";
