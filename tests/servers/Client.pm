# In the place of Qmail::Deliverable::Client of CPAN, which asks so (docs/rules.md, 11.2): `deliverable ADDRESS` is what the daemon
# answers, or 0x2f (a failure of the client) when it answers nothing.
package Qmail::Deliverable::Client;
use strict;
use warnings;
use LWP::UserAgent;
use URI::Escape;
use parent 'Exporter';

our @EXPORT_OK = qw(deliverable);
our $SERVER = '127.0.0.1:8998';
our $ERROR;

sub deliverable {
    my $answer = LWP::UserAgent->new(timeout => 10)->get("http://$SERVER/qd1/deliverable?" . uri_escape($_[0]));
    return $answer->content if $answer->code == 200;
    $ERROR = $answer->status_line;
    return 0x2f;
}

1;
