//! The codes of the findings of `check`: one for each kind of finding, and what fixes it. Scripts, and the list of accepted
//! findings, name findings by these words, so a word never changes and never comes to mean another kind.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $fix:literal;)*) => {
        /// What kind of finding it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every one.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// How it is written.
            pub fn word(self) -> &'static str {
                match self {
                    $(Code::$name => $word,)*
                }
            }

            /// What fixes what it names.
            pub fn fix(self) -> &'static str {
                match self {
                    $(Code::$name => $fix,)*
                }
            }
        }
    };
}

codes! {
    /// No rebuild ran here yet.
    TableNew = "table-new", "qmail-updater rebuild";
    /// A published table was removed.
    TableMissing = "table-missing", "qmail-updater rebuild";
    /// A published table is not whole.
    TableDamaged = "table-damaged", "qmail-updater rebuild";
    /// A published table cannot be read.
    TableUnreadable = "table-unreadable", "correct what the text names";
    /// No entry can be kept from a published table.
    TableNotKept = "table-not-kept", "qmail-updater rebuild; it is not damaged any more after that";
    /// Nothing can be published at the path of a table.
    TablePlace = "table-place", "correct what is at that path, or the setting that names it";
    /// The mode or the owner of a table.
    TableMode = "table-mode", "qmail-updater rebuild; for a wrong owner first write USER:GROUP into the \
        settings file QMAIL_UPDATER_AUTH_OWNER, and restart the service";
    /// Only root can read the login table.
    LoginTableGroup = "login-table-group", "write root:GROUP into the settings file QMAIL_UPDATER_AUTH_OWNER, \
        restart the service, and run qmail-updater rebuild";
    /// The service does not run.
    PipeUnread = "pipe-unread", "start the service";
    /// The tables are not what a rebuild would make.
    TablesStale = "tables-stale", "qmail-updater rebuild; the service does it by itself";
    /// A table of another mail server is not what the recipient table gives.
    OtherTableStale = "other-table-stale", "qmail-updater rebuild; the service does it by itself";
    /// Nothing can be rebuilt.
    RebuildImpossible = "rebuild-impossible", "correct the file that the text names";
    /// The last rebuild of the service failed.
    RebuildFailed = "rebuild-failed", "correct what the text names; the service tries again by itself";
    /// The loss guard holds entries.
    DomainHeld = "domain-held", "restore what is missing, or qmail-updater rebuild --force DOMAIN";
    /// A home directory cannot be read, and its entries are kept.
    HomeUnreadable = "home-unreadable", "correct what the text names; the next rebuild reads it";
    /// A file that only qmail-updater reads (control/authvars, validrcptto.d/DOMAIN, validrcptto.programs) cannot be used,
    /// and what depends on it is kept.
    FileUnusable = "file-unusable", "correct the line that the text names";
    /// A `.qmail` file that could not be read counts as delivered.
    QmailFileUnreadable = "qmail-file-unreadable", "correct what the text names; the next rebuild reads it";
    /// The table accepts more than qmail delivers.
    AddressWidened = "address-widened", "let the wildcard of users/assign end in -, or rename the mailbox";
    /// A setting has a value that the service cannot use.
    SettingInvalid = "setting-invalid", "correct the file in the directory of settings";
    /// A setting that does not exist.
    SettingUnknown = "setting-unknown", "correct the name of the variable or of the file";
    /// A file in the directory of settings that sets --root or --settings.
    SettingMisplaced = "setting-misplaced", "remove the file; give it as an option, or in the environment";
    /// A setting that this process may not read.
    SettingUnreadable = "setting-unreadable", "run the command as root";
    /// Other settings than those of the service.
    SettingsDiffer = "settings-differ", "give both the same settings, and start the service again";
    /// Something else is at the path of the pipe.
    PipeTaken = "pipe-taken", "move away what is at the path of the pipe";
    /// The pipe cannot be looked at.
    PipeMissing = "pipe-missing", "correct the directory of the pipe; the service makes the pipe again";
    /// The mode of the pipe.
    PipeMode = "pipe-mode", "nothing, if the service runs";
    /// Another program reads the pipe.
    PipeShared = "pipe-shared", "stop the other program";
    /// onchange is installed, and vpopmail never calls it.
    OnchangeUncalled = "onchange-uncalled", "build vpopmail with --enable-onchange-script, or do nothing";
    /// The kernel does not let other users open the pipe with `touch`.
    PipeProtected = "pipe-protected", "run the service as root, or let scripts call qmail-updater trigger";
    /// A unit has a /tmp of its own.
    PipePrivateTmp = "pipe-private-tmp", "set PrivateTmp=no for the unit, or a --fifo outside /tmp";
    /// A command of --after cannot run.
    AfterCommand = "after-command", "correct the path of --after, or make the file executable";
    /// The directory of actions is missing.
    ActionDirectory = "action-directory", "make the directory, or correct --actions";
    /// A file whose name is not the name of an action.
    ActionName = "action-name", "rename the file, or move it away";
    /// An action is no program.
    ActionMode = "action-mode", "chmod +x, or move the file away";
    /// Another user than root could change an action, or it cannot be checked.
    ActionUntrusted = "action-untrusted", "correct the owner and the mode of what the text names";
    /// An action cannot be looked at.
    ActionUnreadable = "action-unreadable", "correct what the text names";
    /// A compiled file is older than its text.
    CompiledStale = "compiled-stale", "run qmail-newu or qmail-newmrh, as the text says";
    /// users/assign is missing.
    AssignMissing = "assign-missing", "restore users/assign, or correct --qmail";
    /// There are two compiled files of users/assign.
    AssignTwoCompiled = "assign-two-compiled", "remove the one that qmail does not read, or set --users-cdb";
    /// Lines of users/assign after its end.
    AssignUnread = "assign-unread", "move the lines above the line with the dot, and run qmail-newu";
    /// A comment in users/assign.
    AssignComment = "assign-comment", "remove the line, and run qmail-newu";
    /// A line of users/assign by which no mail is delivered.
    AssignUndelivered = "assign-undelivered", "correct the line, and run qmail-newu";
    /// /etc/passwd is missing.
    PasswdMissing = "passwd-missing", "correct --root";
    /// Accounts come from elsewhere and cannot be listed.
    AccountsUnlisted = "accounts-unlisted", "let sssd list its accounts, or write them into users/assign";
    /// The home directory of an account cannot be looked at.
    AccountUnreadable = "account-unreadable", "correct what the text names";
    /// control/rcpthosts is missing.
    RcpthostsMissing = "rcpthosts-missing", "write control/rcpthosts";
    /// control/morercpthosts is missing, and its compiled file is there.
    MorercpthostsMissing = "morercpthosts-missing", "write control/morercpthosts, or remove morercpthosts.cdb";
    /// control/percenthack has entries.
    Percenthack = "percenthack", "remove the file, if no old client needs it";
    /// virtualdomains names a domain twice.
    VirtualdomainsTwice = "virtualdomains-twice", "remove one of the two lines";
    /// A line of virtualdomains without a colon.
    VirtualdomainsColon = "virtualdomains-colon", "write the line as DOMAIN:USER";
    /// A domain of another host.
    RelayUnlisted = "relay-unlisted", "list the names in control/validrcptto.d/DOMAIN, or accept this finding";
    /// A suffix in rcpthosts.
    RelaySuffix = "relay-suffix", "name each subdomain that gets mail in control/rcpthosts";
    /// A file of validrcptto.d does nothing.
    RelayListIgnored = "relay-list-ignored", "rename the file as the domain in control/rcpthosts, or remove it";
    /// A file of validrcptto.d refuses a whole domain.
    RelayListEmpty = "relay-list-empty", "write one name on each line, or remove the file";
    /// A domain in locals and in virtualdomains.
    DomainLocalAndVirtual = "domain-local-and-virtual", "remove the domain from control/locals, or the line of virtualdomains";
    /// A domain of vpopmail that rcpthosts does not name.
    DomainNotInRcpthosts = "domain-not-in-rcpthosts", "add the domain to control/rcpthosts, or accept this finding";
    /// A line of rcpthosts that no domain matches.
    RcpthostsName = "rcpthosts-name", "correct the line";
    /// control/me is missing.
    MeMissing = "me-missing", "write the name of this host into control/me";
    /// A name in control/locals or control/me that no domain has.
    LocalsName = "locals-name", "correct the line";
    /// A domain of vpopmail that virtualdomains gives to another host.
    DomainNotVirtual = "domain-not-virtual", "add DOMAIN:DOMAIN to control/virtualdomains, or delete the domain in vpopmail";
    /// A domain that leads to no user.
    DomainNobody = "domain-nobody", "correct the line of virtualdomains, or add the user";
    /// A program line that takes every name.
    DomainOpen = "domain-open", "say in control/validrcptto.programs what the program does";
    /// A line with vdelivermail that vpopmail would not write.
    VdelivermailMisread = "vdelivermail-misread", "write the line as vadddomain does, with two arguments";
    /// A line of validrcptto.programs without effect.
    ProgramUnused = "program-unused", "remove the line, or write the program as the .qmail file does";
    /// Accepted addresses whose mail waits.
    MailDeferred = "mail-deferred", "correct what the file and line say";
    /// A forward to an address of this host that does not exist.
    ForwardRefused = "forward-refused", "correct the address, or remove the forward";
    /// A name of a `.qmail` file that is none.
    QmailNoFile = "qmail-no-file", "write a file in its place, or remove it";
    /// A line of a `.qmail` file that ends in CR.
    QmailLineCr = "qmail-line-cr", "write the file with line ends of Unix";
    /// A line that forwards to what is no address.
    ForwardMistyped = "forward-mistyped", "write each address alone on a line";
    /// Forwards that lead back.
    ForwardLoop = "forward-loop", "remove one of the forwards";
    /// A catch-all to an address that does not exist.
    CatchAllNobody = "catch-all-nobody", "name an address that exists, or bounce-no-mailbox";
    /// A line of a `.qmail` file after one that ends every delivery.
    QmailLineUnreached = "qmail-line-unreached", "move the line up, or remove it";
    /// A `.qmail` file that takes the mail of a mailbox away.
    MailboxShadowed = "mailbox-shadowed", "rename the file, or add a line that delivers to the mailbox, or accept this finding";
    /// Mailboxes whose mail bounces.
    MailboxUnreached = "mailbox-unreached", "let .qmail-default run vdelivermail as vadddomain writes it, or correct what the text names";
    /// --vpopmail names no directory.
    VpopmailMissing = "vpopmail-missing", "correct --vpopmail, or mount the directory";
    /// The default domain cannot be read.
    DefaultDomainUnreadable = "default-domain-unreadable", "correct what the text names";
    /// The default domain is no domain of this host.
    DefaultDomain = "default-domain", "correct the first line of ~vpopmail/etc/defaultdomain";
    /// Where the users are, and what shows it.
    UserDatabase = "user-database", "nothing; if it is wrong, set --backend";
    /// A file that shows the user database cannot be read.
    UserDatabaseSign = "user-database-sign", "correct what the text names, or set --backend";
    /// Two files show different user databases.
    UserDatabaseSigns = "user-database-signs", "remove what is left over, or set --backend";
    /// It is not known where the users are.
    UserDatabaseUnknown = "user-database-unknown", "correct what the text names, or set --backend";
    /// The users are in a database that is not read.
    UserDatabaseUnsupported = "user-database-unsupported", "see the guide for users in SQL";
    /// The user database does not answer.
    UserDatabaseFailed = "user-database-failed", "correct what the text names; the next rebuild asks it again";
    /// It is not known whether aliases are in the user database.
    UserDatabaseAliases = "user-database-aliases", "set --valias";
    /// --vpopmail-ext is not as vpopmail was built.
    VpopmailExt = "vpopmail-ext", "set --vpopmail-ext as vpopmail was built";
    /// A setting for a user database that does nothing.
    SqlUnused = "sql-unused", "remove the setting, or set --backend";
    /// Others can read or change the user database, or its password.
    UserDatabaseExposed = "user-database-exposed", "correct the owner and the mode, and change the password";
    /// Logins that differ in case only.
    LoginCase = "login-case", "rename one of the two";
    /// No mail comes to a `.qmail` file with this name.
    QmailName = "qmail-name", "rename the file as the text says, or remove it";
    /// A directory of `.qmail` files is not read.
    QmailDirectory = "qmail-directory", "nothing, unless mail to a name below it is missed";
    /// A name with many colons.
    QmailColons = "qmail-colons", "nothing, unless mail to another spelling is missed";
    /// More spellings than --max-names.
    QmailSpellings = "qmail-spellings", "remove such files, or set a larger --max-names";
    /// A record without a name.
    MailboxUnnamed = "mailbox-unnamed", "remove the line, and run vmkpasswd DOMAIN";
    /// A mailbox that vpopmail never finds.
    MailboxName = "mailbox-name", "correct the name or remove the line, and run vmkpasswd DOMAIN";
    /// Mailboxes that differ in case only.
    MailboxCase = "mailbox-case", "remove the line with the name in upper case, and run vmkpasswd DOMAIN";
    /// A record on which vdelivermail crashes.
    MailboxBroken = "mailbox-broken", "correct the line, and run vmkpasswd DOMAIN";
    /// A record without the directory of the mailbox.
    MailboxShort = "mailbox-short", "add the missing fields, and run vmkpasswd DOMAIN";
    /// A line of vpasswd without a colon.
    MailboxLine = "mailbox-line", "correct or remove the line, and run vmkpasswd DOMAIN";
    /// The last line of vpasswd has no newline.
    MailboxUnended = "mailbox-unended", "add the newline, and run vmkpasswd DOMAIN";
    /// Hashes that no password has.
    PasswordDamaged = "password-damaged", "vpasswd ADDRESS";
    /// A scheme that vpopmail takes for a part of the hash.
    PasswordScheme = "password-scheme", "vpasswd ADDRESS";
    /// DES hashes.
    PasswordDes = "password-des", "vpasswd ADDRESS";
    /// MD5 hashes.
    PasswordMd5 = "password-md5", "vpasswd ADDRESS";
    /// No hash at all.
    PasswordMissing = "password-missing", "vpasswd ADDRESS, if the mailbox is to log in";
    /// Something that is no hash.
    PasswordUnknown = "password-unknown", "vpasswd ADDRESS, if the mailbox is to log in";
    /// A lock before the hash.
    PasswordLocked = "password-locked", "nothing, if the lock is wanted";
    /// The readers of home directories are not confined.
    Confinement = "confinement", "use a kernel with Landlock";
    /// A line of the list of accepted findings.
    AcceptedFile = "accepted-file", "correct the line: a code, a blank, and a domain or a file";
    /// What a rebuild says and no other code names.
    Other = "other", "correct what the text names";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_word_of_its_own() {
        let words: BTreeSet<&str> = Code::ALL.iter().map(|code| code.word()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b"-5".contains(&b))));
    }
}
