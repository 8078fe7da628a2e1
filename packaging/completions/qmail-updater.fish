# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_qmail_updater_global_optspecs
    string join \n root= settings= qmail= vpopmail= users-cdb= validrcptto= auth= sqmail-recipients= sagredo-recipients= fifo= state= backend= sql= valias= break= vpopmail-ext catchall-delete= auth-owner= auth-system-users after= actions= max-loss= max-file= max-names= max-read= max-steps= max-entries= max-alike= max-wait= threads= color= h/help V/version
end

function __fish_qmail_updater_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_qmail_updater_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_qmail_updater_using_subcommand
    set -l cmd (__fish_qmail_updater_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -s V -l version -d 'Print version'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "rebuild" -d 'Read the configuration and publish both tables'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "list" -d 'Print what a rebuild would write, sorted'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "lookup" -d 'Ask the published recipient table as qmail-smtpd does; exit 1 if an address is refused'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "run" -d 'Run the service: rebuild at every trigger, and make a full check regularly'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "check" -d 'Show what is wrong or risky on this host, worst first; exit 1 if something needs attention'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "status" -d 'Show the last rebuild, unreadable domains and whether the tables are current; exit 1 if something is wrong'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "trigger" -d 'Trigger a rebuild by the service, and never wait; exit 0 whether or not it listens'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "demo" -d 'Try the program without qmail: rebuild and ask a copy of a sample host'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "explain" -d 'Show whether an address is accepted, and why; exit 0 accepted, 1 refused, 111 not known'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "domains" -d 'List the domains of this host; exit 1 if a domain that you name is not one of them'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "user" -d 'Show mailboxes with their flags and logins; exit 1 if there is no such mailbox'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "rcptcheck" -d 'RCPTCHECK of qmail-smtpd: exit 0 accepts RECIPIENT, 100 refuses it, 111 defers it'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "qmail-spp-rcpt" -d 'Plugin of qmail-spp for RCPT: print the reply that refuses SMTPRCPTTO, or nothing'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "checkpassword" -d 'Check the login and password on descriptor 3, and run a program; exit 1 refused, 2 misuse, 111 temporary failure'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "spamdyke-rcpt" -d 'recipient-validation-command of spamdyke: exit 1 valid, 2 invalid, 0 not decided'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "sqmail-rcpt" -d 'Check the address on descriptor 3 for control/recipients of s/qmail: exit 0 known, 1 unknown, 111 temporary failure'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "socketmap" -d 'Answer Postfix about recipients: the socketmap named rcpt, on standard input and output'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "deliverabled" -d 'Answer Haraka and qpsmtpd about a recipient: the HTTP of qmail-deliverabled on standard input and output'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "dovecot-auth" -d 'Answer Postfix, Exim and others about logins: the auth protocol of Dovecot on standard input and output'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "vpopmaild" -d 'Answer Haraka about a login: the protocol of vpopmaild on standard input and output'
complete -c qmail-updater -n "__fish_qmail_updater_needs_command" -f -a "opensmtpd-table" -d 'Table of OpenSMTPD 7.6 or newer, for mailaddr and auth'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l force -d 'Publish the losses that the loss guard holds back: of all held domains, or of the DOMAINs' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l dry-run -d 'Publish nothing; print what would change, one line per change'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l summary -d 'With --dry-run: count the changes by domain'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l json -d 'With --dry-run: print the changes as JSON'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l no-commands -d 'Run none of the commands that follow a rebuild'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -s q -l quiet -d 'Say nothing about what went well'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l own-settings -d 'Publish although the settings differ from those of the running service'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l format -d 'The form of the output' -r -f -a "text\t'One entry per line, unprintable bytes as \\xHH: of recipients accept or refuse, the key, and what takes the mail; of logins the login, never a hash'
cdbmake\t'As cdbmake reads it, raw; of logins this shows the hashes'
passwd-file\t'Of logins only, as a passwd-file of Dovecot 2.4 has them; this shows the hashes'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l json -d 'Print the entries as JSON; never a hash'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l json -d 'Print the answers as JSON'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l sweep -d 'Make a full check every SECONDS' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l sql-sweep -d 'Look for changes in the user database every SECONDS' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l hold -d 'Publish the loss of a held domain when it has not grown for SECONDS, and after 3 times SECONDS in any case' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l metrics -d 'Write metrics for Prometheus to FILE, whose name ends in .prom' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l ready-fd -d 'Write a newline to the pipe FD of the supervisor when the service hears triggers' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l no-watch -d 'Do not watch files for changes that are not announced'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l accepted -d 'The findings that do not count, one per line: a code, and a domain or a file [default: /etc/qmail-updater/accepted]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l json -d 'Print the findings as JSON'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l all -d 'Show accepted findings too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -s q -l quiet -d 'Print alerts only'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l nagios -d 'Print one line with performance data, and exit as Nagios wants: 0 OK, 1 warning, 2 critical, 3 unknown'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l json -d 'Print the status file as JSON, and what this command sees itself'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -s v -l verbose -d 'Say on standard error whether the service got it'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand trigger" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l json -d 'Print the answers as JSON'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l held -d 'Only those that the loss guard holds'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l open -d 'Only those where a program decides about all names that are not listed, and it is not known which it takes'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l json -d 'Print them as JSON'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l json -d 'Print them as JSON'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l then -d 'Run PROGRAM, the next checker, when this one accepts: then its answer decides [default: RCPTCHECK_NEXT]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rcptcheck" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand qmail-spp-rcpt" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand checkpassword" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand spamdyke-rcpt" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand sqmail-rcpt" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand socketmap" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand deliverabled" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand dovecot-auth" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand vpopmaild" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l root -d 'Take every absolute path below DIR, as after chroot' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l settings -d 'The directory of settings, one file per variable; \'\' means none' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l qmail -d 'qmail\'s directory [default: /var/qmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l vpopmail -d 'vpopmail\'s directory [default: the home directory of the user vpopmail, else /home/vpopmail]' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l users-cdb -d 'The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l validrcptto -d 'The recipient table [default: QMAIL/control/validrcptto.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l auth -d 'The login table [default: QMAIL/control/auth.cdb]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l sqmail-recipients -d 'Publish the recipient table also as recipients.cdb of s/qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l sagredo-recipients -d 'Publish the recipient table also as morevalidrcptto.cdb of sagredo\'s qmail' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l fifo -d 'A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l state -d 'The directory of locks and of the status file' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l backend -d 'Where vpopmail keeps its users; auto: as its programs and files show' -r -f -a "auto\t'As bin/vdelivermail, include/config.h and the files in etc show'
cdb\t'In vpasswd.cdb and vpasswd'
mysql\t'In MySQL or MariaDB'
pgsql\t'In PostgreSQL'
sqlite\t'In SQLite'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l sql -d 'How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l valias -d 'Whether vpopmail looks aliases up in the user database [default: as its programs and files show]' -r -f -a "yes\t'It does'
no\t'It does not'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l break -d 'qmail\'s conf-break' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l catchall-delete -d 'What a catch-all of `delete` means' -r -f -a "refuse\t'The recipient is refused at RCPT time'
accept\t'The message is accepted, and qmail swallows it'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l auth-owner -d 'Who owns the login table [default: the present owner, else root:root]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l after -d 'Run FILE after a rebuild that changed a table; may be given again' -r -F
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l actions -d 'The directory of the programs that the service runs after each change' -r -f -a "(__fish_complete_directories)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l max-loss -d 'The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l max-file -d 'Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l max-names -d 'If a home directory has more than N .qmail files, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l max-read -d 'If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l max-steps -d 'If a home directory takes more than N steps of work, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l max-entries -d 'If a home directory makes more than N entries in a table, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l max-alike -d 'If a home directory makes more than N entries whose keys have the same hash, keep its published entries' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l max-wait -d 'Wait SECONDS for a file system or user database that does not answer, then keep its domains' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l threads -d 'How many threads read home directories [default: as many as are useful]' -r -f
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l color -d 'Colour in answers on a terminal; NO_COLOR in the environment turns it off too' -r -f -a "auto\t'On a terminal'
always\t'In a pipe, too: it then gets what a terminal gets'
never\t'Nowhere'"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l vpopmail-ext -d 'vpopmail was built with --enable-qmail-ext'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -l auth-system-users -d 'System accounts may log in, too'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand opensmtpd-table" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand explain" -f -a "(qmail-updater complete addresses (commandline -ct) 2>/dev/null)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand lookup" -f -a "(qmail-updater complete addresses (commandline -ct) 2>/dev/null)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand user" -f -a "(qmail-updater complete users (commandline -ct) 2>/dev/null)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand domains" -f -a "(qmail-updater complete domains (commandline -ct) 2>/dev/null)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand rebuild; and __fish_contains_opt force" -f -a "(qmail-updater complete domains (commandline -ct) 2>/dev/null)"
complete -c qmail-updater -n "__fish_qmail_updater_using_subcommand list" -f -a "recipients logins"
