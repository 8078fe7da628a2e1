//! What vpopmail says through its onchange script, as a line on the pipe (docs/rules.md, 5.2 and 5.4). Anybody on the
//! host can write such a line: it is a hint, never an instruction.

use crate::text::{Shown, lower, split_address};

/// The longest line, its newline included, in bytes: what a pipe takes in one piece (PIPE_BUF).
pub const MAX_LINE: usize = 4096;
/// How much of a notice is logged, in bytes.
const MAX_SHOWN: usize = 200;

/// The line for the fields of a notice: separated by TAB, ended by newline; what would break that is escaped, and what
/// is too long is cut.
///
/// ```
/// use qmail_updater::pipe::notice::to_line;
/// assert_eq!(to_line(&[b"del_user", b"a\tb@x.test"]), b"del_user\ta\\x09b@x.test\n");
/// ```
pub fn to_line(fields: &[&[u8]]) -> Vec<u8> {
    let mut line = Vec::new();
    for (number, field) in fields.iter().enumerate() {
        if number > 0 {
            line.push(b'\t');
        }
        for byte in *field {
            match byte {
                b'\t' => line.extend(br"\x09"),
                b'\n' => line.extend(br"\x0a"),
                0 => line.extend(br"\x00"),
                b'\\' => line.extend(br"\\"),
                byte => line.push(*byte),
            }
        }
    }
    line.truncate(MAX_LINE - 1);
    line.push(b'\n');
    line
}

/// A change that is announced before it happens, and that we wait for (docs/rules.md, 5.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Expected {
    /// A mailbox, name and domain, will be gone.
    MailboxGone(Vec<u8>, Vec<u8>),
    /// A domain will be gone from users/assign.
    DomainGone(Vec<u8>),
    /// A new domain will have mailboxes.
    DomainFilled(Vec<u8>),
    /// Something about an alias of this domain; when it has happened cannot be seen.
    AliasChange(Vec<u8>),
}

/// A line that is a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The command, in its documented name.
    pub command: &'static str,
    /// Its first argument, lower case.
    pub argument: Vec<u8>,
}

/// The commands as the code sends them, with their documented names.
const COMMANDS: &[(&str, &str)] = &[
    ("add_domain", "add_domain"),
    ("del_domain", "del_domain"),
    ("add_alias_domain", "add_alias_domain"),
    ("add_user", "add_user"),
    ("del_user", "del_user"),
    ("mod_user", "mod_user"),
    ("insert_alias", "insert_alias"),
    ("valias_insert", "insert_alias"),
    ("valias_add", "insert_alias"),
    ("remove_alias", "remove_alias"),
    ("valias_remove", "remove_alias"),
    ("del_alias", "del_alias"),
    ("valias_delete", "del_alias"),
    ("del_all_alias", "del_all_alias"),
    ("valias_delete_domain", "del_all_alias"),
    ("addmailinglist", "addmailinglist"),
    ("delmailinglist", "delmailinglist"),
    ("setdefault", "setdefault"),
    ("addautorespond", "addautorespond"),
];

impl Notice {
    /// Understands a line without its newline; `None` when it is no notice.
    pub fn parse(line: &[u8]) -> Option<Notice> {
        let mut fields = line.split(|b| *b == b'\t');
        let sent = fields.next()?;
        let (_, command) = COMMANDS.iter().find(|(name, _)| name.as_bytes() == sent)?;
        let argument = unescape(fields.next().unwrap_or_default());
        let argument = if argument == b"-" { Vec::new() } else { lower(&argument) };
        // vpopmail 5.4 has two arguments only: the second one is a text that begins with the address.
        let end = match *command {
            "add_domain" | "del_domain" | "add_alias_domain" => None,
            _ => argument.iter().position(|b| *b == b' '),
        };
        let argument = argument[..end.unwrap_or(argument.len())].to_vec();
        Some(Notice { command, argument })
    }

    /// The domain whose mailboxes or aliases it is about; `None` when it may be about more.
    pub fn domain(&self) -> Option<&[u8]> {
        match self.command {
            "add_domain" | "del_domain" | "add_alias_domain" => None,
            _ => Some(split_address(&self.argument).map_or(&self.argument, |(_, domain)| domain)),
        }
    }

    /// What is to be waited for, when the notice comes before its change.
    pub fn expected(&self) -> Option<Expected> {
        let argument = &self.argument[..];
        let first_word = argument.split(|b| *b == b' ').next().unwrap_or_default().to_vec();
        let domain = || split_address(argument).map_or(argument, |(_, domain)| domain).to_vec();
        match self.command {
            "del_user" => {
                let (name, domain) = split_address(argument)?;
                Some(Expected::MailboxGone(name.to_vec(), domain.to_vec()))
            }
            "del_domain" => Some(Expected::DomainGone(first_word)),
            "add_domain" => Some(Expected::DomainFilled(first_word)),
            "remove_alias" | "del_alias" | "del_all_alias" | "delmailinglist" => Some(Expected::AliasChange(domain())),
            _ => None,
        }
    }
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.argument[..self.argument.len().min(MAX_SHOWN)];
        // Without its spaces it cannot pass for anything else in the log.
        write!(f, "{}:{}", self.command, Shown(shown).to_string().replace(' ', "\\x20"))
    }
}

/// Undoes the escapes of a field; others stay as they are.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = field;
    while let Some((byte, tail)) = rest.split_first() {
        let escapes: [(&[u8], u8); 4] = [(br"\\", b'\\'), (br"\x09", b'\t'), (br"\x0a", b'\n'), (br"\x00", 0)];
        match escapes.iter().find(|(escape, _)| rest.starts_with(escape)) {
            Some((escape, byte)) => {
                plain.push(*byte);
                rest = &rest[escape.len()..];
            }
            None => {
                plain.push(*byte);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_fields_hold_the_line_is_one_and_says_the_same() {
        for argument in [&b"joe@x.test"[..], b"a\tb\nc\0d\\e@x.test", b"\\x09", b"it's;$(rm)@x.test", b""] {
            let line = to_line(&[b"del_user", argument, b"", b""]);
            assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1, "{argument:?}");
            assert_eq!(line.iter().filter(|b| **b == b'\t').count(), 3, "{argument:?}");
            assert_eq!(Notice::parse(&line[..line.len() - 1]).unwrap().argument, argument);
        }
        let long = to_line(&[b"add_user", &[b'x'; 10_000]]);
        assert_eq!((long.len(), long.last()), (MAX_LINE, Some(&b'\n')));
    }

    #[test]
    fn both_names_of_each_command_and_what_comes_before_its_change() {
        let expected = |line: &str| Notice::parse(line.as_bytes()).unwrap().expected();
        let gone = Expected::MailboxGone(b"joe".to_vec(), b"x.test".to_vec());
        assert_eq!(expected("del_user\tJoe@X.test\t-\t"), Some(gone));
        assert_eq!(expected("del_domain\tal.test alias of x.test\t-"), Some(Expected::DomainGone(b"al.test".to_vec())));
        assert_eq!(expected("add_domain\tnew.test\t-"), Some(Expected::DomainFilled(b"new.test".to_vec())));
        assert_eq!(expected("valias_delete\tb@x.test"), expected("del_alias\tb@x.test"));
        assert_eq!(expected("valias_delete_domain\tx.test"), Some(Expected::AliasChange(b"x.test".to_vec())));
        assert_eq!(expected("add_user\tjoe@x.test"), None);
        assert_eq!(Notice::parse(b"valias_insert\ta@x.test").unwrap().command, "insert_alias");
        // In the form of 5.4, where the line of an alias may hold another address.
        let remove = Notice::parse(b"valias_remove\tAl@x.test - &joe@y.test").unwrap();
        assert_eq!(remove.domain(), Some(&b"x.test"[..]));
        assert_eq!(remove.expected(), Some(Expected::AliasChange(b"x.test".to_vec())));
        assert_eq!(Notice::parse(b"add_alias_domain\tal.test x.test").unwrap().argument, b"al.test x.test");
        for other in [&b""[..], b"hello", b"ADD_USER\tx", b"add_user x"] {
            assert_eq!(Notice::parse(other), None);
        }
    }
}
