//! Notices: what the script writes is what the service hears, however the bytes are split across reads. The first section
//! is the fields, a line each; the others are what arrives on the pipe, a read each.

#![no_main]

use libfuzzer_sys::fuzz_target;
use qmail_updater::pipe::fifo::Unended;
use qmail_updater::pipe::notice::{Expected, MAX_LINE, Notice, to_line};
use qmail_updater_fuzz::{assert_printable, sections};

fuzz_target!(|input: &[u8]| {
    let sections = sections(input);
    let fields: Vec<&[u8]> = sections[0].split(|b| *b == b'\n').collect();
    write_and_hear(&fields);
    // A field that holds everything but TAB.
    write_and_hear(&[b"del_user", input, b"", b"before"]);
    if let Some(notice) = Notice::parse(sections[0]) {
        judge(&notice);
    }
    let reads = &sections[1..];
    let (whole, split) = (hear(&[&reads.concat()]), hear(reads));
    assert_eq!(whole, split, "the reads decide what is heard");
    let bytes: Vec<[u8; 1]> = reads.concat().iter().map(|b| [*b]).collect();
    assert_eq!(whole, hear(&bytes.iter().map(|b| &b[..]).collect::<Vec<_>>()));
});

/// The notices among what arrives; whatever arrives is a trigger at least.
fn hear(reads: &[&[u8]]) -> Vec<Notice> {
    let mut line = Unended::default();
    let mut notices = Vec::new();
    for read in reads.iter().filter(|read| !read.is_empty()) {
        let mut count = 0;
        line.take(read, &mut |notice| {
            count += 1;
            notices.extend(notice);
        });
        assert_eq!(count, read.iter().filter(|b| **b == b'\n').count(), "each line is a notice or a poke");
    }
    let left = reads.iter().rev().find(|read| !read.is_empty()).is_some_and(|read| !read.ends_with(b"\n"));
    assert_eq!(line.forget(), left, "what has no end is a poke");
    notices.iter().for_each(judge);
    notices
}

fn write_and_hear(fields: &[&[u8]]) {
    let line = to_line(fields);
    assert!(line.len() <= MAX_LINE);
    let (end, body) = line.split_last().expect("a newline at least");
    assert!(*end == b'\n' && !body.contains(&b'\n') && !body.contains(&0));
    let Some(notice) = Notice::parse(body) else { return };
    judge(&notice);
    if line.len() == MAX_LINE {
        return; // it may be cut
    }
    let argument = fields.get(1).copied().unwrap_or_default();
    // A text follows the address after a space, except where the argument is two domains.
    let is_domain = matches!(notice.command, "add_domain" | "del_domain" | "add_alias_domain");
    let length = argument.iter().position(|b| *b == b' ' && !is_domain).unwrap_or(argument.len());
    let expected = if argument == b"-" { Vec::new() } else { argument[..length].to_ascii_lowercase() };
    assert_eq!(notice.argument, expected);
    assert_eq!(hear(&[&line]), [notice]);
}

fn judge(notice: &Notice) {
    let shown = notice.to_string();
    assert_printable(&shown);
    assert!(shown.len() < 1000 && shown.starts_with(notice.command));
    assert!(!notice.argument.iter().any(u8::is_ascii_uppercase) && notice.argument.len() <= MAX_LINE);
    match notice.expected() {
        Some(Expected::MailboxGone(name, domain)) => assert_eq!([&name[..], &domain].join(&b'@'), notice.argument),
        Some(Expected::DomainGone(domain) | Expected::DomainFilled(domain)) => assert!(!domain.contains(&b' ')),
        Some(Expected::AliasChange(domain)) => assert!(!domain.contains(&b'@')),
        None => {}
    }
}
