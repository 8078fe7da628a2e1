//! What real qmail-local, vdelivermail and vchkpw did with users in MariaDB, PostgreSQL and SQLite
//! (tests/conformance/sql): a snapshot of the same rows must give the same verdicts and logins. No server runs here; what a
//! server is asked about a column or a row stands in this file.

#[path = "support/sql_cases.rs"]
mod sql_cases;
mod support;

use std::collections::BTreeMap;
use std::hash::RandomState;
use std::sync::Arc;

use qmail_updater::host::mailboxes::collation::Collation;
use qmail_updater::host::mailboxes::snapshot::{self, Snapshot};
use qmail_updater::host::mailboxes::stream::{About, Row, Writer};
use qmail_updater::host::user_database::Kind;
use serde_json::Value;
use sql_cases::{kind_of, statements};

/// The texts and numbers of `insert into TABLE (COLUMNS) values (VALUES)`, by column; `None` is NULL.
fn inserted(statement: &str, kind: Kind) -> Option<(String, BTreeMap<String, Option<String>>)> {
    let rest = statement.strip_prefix("insert into ")?;
    let (table, rest) = rest.split_once(" (")?;
    let (columns, rest) = rest.split_once(") values (")?;
    let (mut values, mut chars) = (Vec::new(), rest.chars().peekable());
    loop {
        let mut value = String::new();
        if chars.next_if_eq(&'\'').is_some() {
            loop {
                match chars.next()? {
                    '\\' if kind == Kind::Mysql => value.push(chars.next()?),
                    '\'' if chars.next_if_eq(&'\'').is_some() => value.push('\''),
                    '\'' => break,
                    other => value.push(other),
                }
            }
            values.push(Some(value));
        } else {
            while let Some(other) = chars.next_if(|c| !matches!(c, ',' | ')')) {
                value.push(other);
            }
            values.push((value.to_lowercase() != "null").then_some(value));
        }
        match chars.next()? {
            ')' => break,
            ',' => while chars.next_if_eq(&' ').is_some() {},
            other => panic!("{other:?} in {statement}"),
        }
    }
    let columns = columns.split(',').map(|column| column.trim().to_owned());
    let (of_columns, of_values) = (columns.clone().count(), values.len());
    assert_eq!(of_columns, of_values, "{statement}");
    Some((table.to_owned(), columns.zip(values).collect()))
}

/// What the server says that a text is equal to in ASCII, for one that is not; by the collation that a statement names.
fn in_ascii(text: &str, collation: &str) -> String {
    let folded = |c: char| match c {
        'é' if !collation.ends_with("_bin") => "e".to_owned(),
        'ß' if collation.contains("unicode") => "ss".to_owned(),
        '²' if collation.contains("unicode") => "2".to_owned(),
        '\u{ff41}'..='\u{ff5a}' if collation.contains("unicode") => {
            char::from(b'a' + u8::try_from(u32::from(c) - 0xff41).unwrap()).to_string()
        }
        '\u{1}'..='\u{8}' if collation.contains("unicode") => String::new(),
        other => other.to_string(),
    };
    text.chars().map(folded).collect()
}

/// The column that `alter table vpopmail modify pw_name ...` makes, and its collation's name.
fn column(statement: &str) -> (Collation, String) {
    let words: Vec<&str> = statement.split(' ').collect();
    let name = words[words.iter().position(|word| *word == "collate").unwrap() + 1].to_owned();
    let collation = Collation {
        folds: !name.ends_with("_bin"),
        pads: !name.contains("nopad"),
        has_dotless_i: false,
        alike: if name.contains("lithuanian") { vec![(b'i', b'y')] } else { Vec::new() },
    };
    (collation, name)
}

/// The snapshot of a case for one build.
fn snapshot(case: &Value, build: &[&str]) -> Arc<Snapshot> {
    let has = |option: &str| build.contains(&option);
    let kind = kind_of(case);
    let is_mysql = kind == Kind::Mysql;
    let usual = || Collation { folds: is_mysql, pads: is_mysql, ..Collation::default() };
    let each = has("disable-many-domains");
    let statements = statements(case, build);
    let altered = statements.iter().find(|statement| statement.starts_with("alter table vpopmail modify pw_name"));
    let (of_mailbox, mailbox_collation) =
        altered.map_or_else(|| (usual(), "utf8mb4_general_ci".to_owned()), |statement| column(statement));
    let about = About {
        kind,
        name: format!("{} vpopmail", kind.option()).into_bytes(),
        // vdelivermail of SQLite takes each row for an error.
        has_aliases: has("valias") && kind != Kind::Sqlite,
        has_limits: has("mysql-limits"),
        has_table_each: each,
        of_mailbox,
        of_domain: usual(),
        of_alias: usual(),
        of_alias_domain: usual(),
        of_limits: usual(),
    };
    let mut stream = Writer::new(Vec::new(), &about).unwrap();
    if each {
        ["a_test", "b_c_test"].iter().for_each(|table| stream.row(Row::Table(table.as_bytes(), None)).unwrap());
    }
    for statement in &statements {
        let Some((table, row)) = inserted(statement, kind) else {
            assert!(statement.starts_with("alter table vpopmail "), "{statement}");
            continue;
        };
        let text = |column: &str| row.get(column).cloned().flatten().unwrap_or_default();
        let ascii = |column: &str, collation: &str| match is_mysql {
            true => in_ascii(&text(column), collation),
            false => text(column),
        };
        let row = match &table[..] {
            "valias" => {
                let (alias, line) = (ascii("alias", "utf8mb4_general_ci"), row["valias_line"].as_deref());
                stream.row(Row::Alias(text("domain").as_bytes(), alias.as_bytes(), line.map(str::as_bytes)))
            }
            "limits" => stream.row(Row::Limits(text("domain").as_bytes(), text("disable_smtp") != "0")),
            _ => {
                let domain = if each { table.clone() } else { text("pw_domain") };
                let flags = text("pw_gid").parse::<i64>().unwrap_or(0) as i32 as u32;
                let name = ascii("pw_name", &mailbox_collation);
                stream.row(Row::Mailbox(domain.as_bytes(), name.as_bytes(), text("pw_passwd").as_bytes(), flags))
            }
        };
        row.unwrap();
    }
    let stream = stream.end().unwrap();
    Arc::new(snapshot::read(&stream[..], &mut tempfile::tempfile, &RandomState::new(), None).unwrap())
}

#[test]
fn a_snapshot_of_the_rows_of_each_case_gives_the_verdicts_of_the_real_programs() {
    let kinds = [Kind::Mysql, Kind::Pgsql, Kind::Sqlite];
    sql_cases::check(&kinds, &mut |case, _, options| snapshot(case, options));
}
