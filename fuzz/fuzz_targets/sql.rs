//! What comes from the process that asks a user database, and the file in which vpopmail has how to reach one: no bytes
//! bring more than an error, and no form of a connection shows its password.

#![no_main]

use std::hash::RandomState;

use libfuzzer_sys::fuzz_target;
use qmail_updater::host::mailboxes::connection::{parse_mysql, parse_pgsql};
use qmail_updater::host::mailboxes::snapshot;
use qmail_updater::host::mailboxes::stream::{Reader, Writer};
use qmail_updater_fuzz::assert_printable;

fuzz_target!(|input: &[u8]| {
    stream(input);
    connection(input);
});

/// What the rows of a stream are is what they are when they are written again.
fn stream(input: &[u8]) {
    let made = snapshot::read(input, &mut tempfile::tempfile, &RandomState::new(), None);
    let again = again(input);
    match &made {
        Ok(made) => {
            let again = again.expect("a whole stream");
            let copy = snapshot::read(&again[..], &mut tempfile::tempfile, &RandomState::new(), None).expect("it is whole");
            assert!(*made == copy, "the same user database");
            for domain in [&b"a.test"[..], b"b-c.test", b"A.Test ", b""] {
                let names = |of: &snapshot::Snapshot| {
                    of.mailboxes(domain).map(|rows| rows.names().map(<[u8]>::to_vec).collect::<Vec<_>>())
                };
                assert_eq!(names(made), names(&copy));
                assert_eq!((made.limits(domain), made.knows(domain)), (copy.limits(domain), copy.knows(domain)));
                let lines = |of: &snapshot::Snapshot| of.aliases(domain).map(|rows| rows.len());
                assert_eq!(lines(made), lines(&copy));
            }
        }
        Err(cause) => assert_printable(&cause.text),
    }
}

/// The stream once more, when it is whole.
fn again(input: &[u8]) -> Option<Vec<u8>> {
    let (mut reader, about) = Reader::new(input).ok()?;
    let mut writer = Writer::new(Vec::new(), &about).expect("memory takes everything");
    while let Some(row) = reader.next_row().ok()? {
        writer.row(row).expect("memory takes everything");
    }
    Some(writer.end().expect("memory takes everything"))
}

fn connection(input: &[u8]) {
    if let Ok(mysql) = parse_mysql(input) {
        assert!(
            !mysql.user.is_empty() && !mysql.password.is_empty() && !mysql.database.is_empty(),
            "an empty field is none"
        );
        assert!(
            [&mysql.user, &mysql.database, &*mysql.password]
                .into_iter()
                .all(|field| !field.iter().any(|b| matches!(b, b'|' | b'\n' | 0)))
        );
    }
    if let Ok(pgsql) = parse_pgsql(input) {
        assert!(pgsql.0.starts_with(b"host=") && !pgsql.0.contains(&b'\n') && !pgsql.0.contains(&0));
        assert_eq!(format!("{pgsql:?}"), "Pgsql { .. }");
    }
    for fault in [parse_mysql(input).err(), parse_pgsql(input).err()].into_iter().flatten() {
        assert_printable(&fault.to_string());
    }
}
