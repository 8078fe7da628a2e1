//! What `check` says of vpopmail's user database: where it is and what shows that, how it is reached, and each doubt.

use crate::error::show_path;
use crate::fs::{End, Perm};
use crate::host::Host;
use crate::host::build::Fact;
use crate::host::user_database::Kind;
use crate::rebuild::database::file_of;
use crate::report::{Code, Level, Note};
use crate::settings::Settings;

/// The findings.
pub fn findings(settings: &Settings, host: &Host) -> Vec<Note> {
    let Some(sign) = &host.build.asked else { return unused(settings, host) };
    let (layout, kind) = (&host.layout, sign.kind);
    let inside = file_of(layout, kind);
    let file = layout.root.path(&inside);
    let file = show_path(&file);
    let tables = &host.build.tables;
    let said = |fact: &Fact, yes: &str, no: &str| match fact.is {
        Some(is) => format!("{} ({})", if is { yes } else { no }, fact.seen),
        None => format!("{yes}, where the table is (nothing shows it)"),
    };
    let mut texts = vec![format!("users: {}: {}; by {file}", kind.name(), sign.seen)];
    texts.push(format!(
        "users: {}; {}; {}",
        said(&tables.aliases, "aliases are looked up in valias", "no alias is looked up there"),
        said(&tables.limits, "limits are looked up in limits", "no limit is looked up there"),
        match tables.table_each.is {
            Some(true) => format!("one table a domain ({})", tables.table_each.seen),
            Some(false) => format!("one table for all domains ({})", tables.table_each.seen),
            None => "one table a domain, where there is no table vpopmail (nothing shows it)".to_owned(),
        }
    ));
    let mut findings: Vec<Note> =
        texts.into_iter().map(|text| Note::new(Level::Status, text).of(Code::UserDatabase)).collect();
    let mut warn = |code: Code, text: String| findings.push(Note::warning(text).of(code));
    if tables.aliases.is.is_none() {
        warn(
            Code::UserDatabaseAliases,
            "nothing shows whether vpopmail looks aliases up in the user database; --valias can say it".to_owned(),
        );
    }
    if tables.qmail_ext.is.is_some_and(|is| is != layout.qmail_ext) {
        warn(
            Code::VpopmailExt,
            format!(
                "{}; --vpopmail-ext is {}: other addresses are accepted than vpopmail delivers",
                tables.qmail_ext.seen,
                if layout.qmail_ext { "given" } else { "not given" }
            ),
        );
    }
    if layout.connection.is_some() && kind == Kind::Sqlite {
        warn(Code::SqlUnused, format!("--sql: does nothing: with SQLite the database is {file}"));
    }
    if let End::Found(found) = layout.root.walk(&inside).end {
        findings.extend(exposed(&file.to_string(), &found.perm, layout.connection.is_some(), kind));
    }
    findings
}

/// Settings that do nothing, because no user database is asked.
fn unused(settings: &Settings, host: &Host) -> Vec<Note> {
    let layout = &settings.layout;
    let given = [(layout.connection.is_some(), "--sql"), (layout.valias.is_some(), "--valias")];
    let given = given.into_iter().filter(|(is_given, _)| *is_given && host.build.asked.is_none());
    let text = |option: &str| format!("{option}: does nothing: this program asks no user database on this host");
    given.map(|(_, option)| Note::warning(text(option)).of(Code::SqlUnused)).collect()
}

/// Who else may read the file with the password, or the hashes.
fn exposed(file: &str, perm: &Perm, is_given: bool, kind: Kind) -> Option<Note> {
    let what = if kind == Kind::Sqlite { "the hashes" } else { "the password" };
    if is_given && kind != Kind::Sqlite && (perm.uid != 0 || perm.mode & 0o077 != 0) {
        let (uid, mode) = (perm.uid, perm.mode);
        return Some(Note::warning(format!(
            "{file}: owner {uid}, mode {mode:04o}: others than root may read or change {what} in it; it has to be root's, mode \
             0600"
        )).of(Code::UserDatabaseExposed));
    }
    (perm.mode & 0o007 != 0).then(|| {
        Note::warning(format!(
            "{file}: mode {:04o}: every user of this host may read or change {what} in it; chmod o-rwx",
            perm.mode
        ))
        .of(Code::UserDatabaseExposed)
    })
}
