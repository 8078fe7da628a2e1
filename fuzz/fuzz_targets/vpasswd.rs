//! The text vpasswd, and the vpasswd.cdb that vpopmail makes of it: both hold the same mailboxes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use qmail_updater::cdb::Indexed;
use qmail_updater::host::vpopmail::{
    ADDRESS_MAX, Mailbox, NO_SMTP, OVERRIDE, Shape, Vpasswd, is_legal_host, is_legal_name, parse_text,
};
use qmail_updater_fuzz::{assert_printable, compile};

fuzz_target!(|text: &[u8]| {
    // A last line without a newline is not read.
    let ended = text.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
    let lines = text[..ended].split(|b| *b == b'\n');
    let cut =
        |line: &[u8]| line.iter().position(|b| *b == b':').map(|at| (line[..at].to_vec(), line[at + 1..].to_vec()));
    let records: Vec<_> = lines.clone().filter_map(cut).collect();
    let written = Vpasswd::Text(parse_text(text));
    let compiled = Vpasswd::Compiled(Indexed::new(compile(&records)).expect("what vpopmail makes"));
    let names: Vec<&[u8]> = written.usable().into_iter().map(|(name, _)| name).collect();
    for (name, mailbox) in compiled.usable() {
        assert!(mailbox == Mailbox { line: None, ..written.find(name).expect("it has a line") });
    }
    assert!(compiled.usable().into_iter().map(|(name, _)| name).eq(names.iter().copied()), "the same names");
    assert!(names.is_sorted_by(|a, b| a < b), "sorted, each once");
    for (name, record) in &records {
        let listed = name.len() <= ADDRESS_MAX && *name == name.to_ascii_lowercase();
        assert_eq!(names.binary_search(&&name[..]).is_ok(), listed);
        let mailbox = written.find(name).expect("it has a line");
        assert!(compiled.find(name) == Some(Mailbox { line: None, ..mailbox }));
        let line = lines.clone().nth(mailbox.line.expect("it has a line") - 1).expect("the line is there");
        let (first_name, first) = cut(line).expect("a record");
        assert_eq!(first_name, *name);
        assert!(mailbox == Mailbox::parse(&first, mailbox.line));
        judge(record);
        // Only asked: neither may panic.
        let _ = (is_legal_name(name), is_legal_host(name));
    }
    assert!(written.find(b"no\nname").is_none());
    assert_eq!((format!("{written:?}"), format!("{compiled:?}")), ("Text".to_owned(), "Compiled".to_owned()));
    judge(text);
});

/// One record.
fn judge(record: &[u8]) {
    let mailbox = Mailbox::parse(record, None);
    let mut fields = record.split(|b| *b == b':');
    assert!(fields.next() == Some(mailbox.crypt));
    let colons = record.iter().filter(|b| **b == b':').count();
    let shape = if colons < 2 { Shape::Broken } else if colons < 4 { Shape::Short } else { Shape::Whole };
    assert_eq!(mailbox.shape, shape);
    assert!(shape != Shape::Broken || mailbox.flags == 0);
    assert!(u32::try_from(mailbox.flags).is_ok());
    assert_eq!(mailbox.effective_flags(0), mailbox.flags);
    let limited = mailbox.effective_flags(NO_SMTP) & NO_SMTP != 0;
    assert_eq!(limited, mailbox.flags & NO_SMTP != 0 || mailbox.flags & OVERRIDE == 0);
    // No crypt string is ever shown.
    let shown = format!("{mailbox:?}");
    assert_printable(&shown);
    assert_eq!(shown, format!("Mailbox {{ flags: {}, shape: {:?}, .. }}", mailbox.flags, mailbox.shape));
}
