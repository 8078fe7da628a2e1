#!/usr/bin/perl
# As qmail-newu(8) does it, in the directory of qmail: users/assign is compiled into users/cdb.tmp, a name that every run
# uses, which becomes users/cdb. Two runs at once break each other.
use strict;
use warnings;

sub fail { print STDERR "qmail-newu: fatal: $_[0]: $!\n"; exit 111 }

open my $in, '<:raw', 'users/assign' or fail('unable to open users/assign');
open my $out, '>:raw', 'users/cdb.tmp' or fail('unable to open users/cdb.tmp');
my ($place, $ended, %last, @slots) = (2048, 0);
print $out "\0" x $place;

sub add {
    my ($key, $data) = @_;
    my $hash = 5381;
    $hash = (($hash * 33) & 0xffffffff) ^ $_ for unpack 'C*', $key;
    push @{$slots[$hash & 255]}, [$hash, $place];
    my $record = pack('VV', length $key, length $data) . $key . $data;
    print $out $record or fail('unable to write users/cdb.tmp');
    $place += length $record;
}

while (my $line = <$in>) {
    chomp $line;
    $ended = 1, last if $line =~ /^\./;
    my ($key, @fields) = split /:/, $line, 8;
    $! = 0, fail("unable to read users/assign: line $.") if @fields < 7;
    my $kind = substr $key, 0, 1, '';
    $last{substr $key, -1} = 1 if $kind eq '+';
    add('!' . lc($key) . ($kind eq '+' ? '' : "\0"), join "\0", @fields[0 .. 5]);
}
$! = 0, fail('unable to read users/assign: no . line') unless $ended;
add('', join '', sort keys %last);

my $header = '';
for my $table (map { $_ // [] } @slots[0 .. 255]) {
    my $length = 2 * @$table;
    my @places = ([0, 0]) x $length;
    for my $slot (@$table) {
        my $at = ($slot->[0] >> 8) % $length;
        $at = ($at + 1) % $length while $places[$at][1];
        $places[$at] = $slot;
    }
    $header .= pack 'VV', $place, $length;
    print $out map { pack 'VV', @$_ } @places;
    $place += 8 * $length;
}
seek $out, 0, 0 or fail('unable to seek users/cdb.tmp');
print $out $header;
close $out or fail('unable to write users/cdb.tmp');
chmod 0644, 'users/cdb.tmp' or fail('unable to chmod users/cdb.tmp');
rename 'users/cdb.tmp', 'users/cdb' or fail('unable to move users/cdb.tmp to users/cdb');
