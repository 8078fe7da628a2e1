//! .qmailadmin-limits and vlimits.default: the name that decides about SMTP is on exactly when a line begins with it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use qmail_updater::host::vpopmail::{Mailbox, NO_SMTP, OVERRIDE, parse_limits};

fuzz_target!(|text: &[u8]| {
    const NAME: &[u8] = b"disable_smtp";
    let begins = |at: usize| at == 0 || b"\r\n".contains(&text[at - 1]);
    let ends = |at: usize| text.get(at).is_none_or(|b| b" \t:\r\n".contains(b));
    let on = text.windows(NAME.len()).enumerate().any(|(at, name)| name == NAME && begins(at) && ends(at + NAME.len()));
    let limits = parse_limits(text);
    assert_eq!(limits & NO_SMTP != 0, on);
    // A comment in front changes nothing, and a name once on stays on.
    assert_eq!(parse_limits(&[b"# disable_smtp\n", text].concat()), limits);
    assert_eq!(parse_limits(&[text, b"\ndisable_smtp 0\n"].concat()), limits | NO_SMTP);
    let mailbox = Mailbox::parse(text, None);
    let expected = if mailbox.flags & OVERRIDE == 0 { mailbox.flags | limits } else { mailbox.flags };
    assert_eq!(mailbox.effective_flags(limits), expected);
});
