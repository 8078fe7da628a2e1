//! docs/troubleshooting/messages.md explains every alert, warning and fatal message of the source, all that `check` finds and what
//! `status` says in words, and nothing else.
//!
//! A message is a string literal of the source with `...` for each `{}`. It counts when it stands in the arguments of
//! what makes an alert or an error ([`MAKERS`]) or a warning ([`WARNERS`]). Where such a call is given a variable instead,
//! every literal of that function counts that is nothing else. docs/troubleshooting/messages.md holds each message as a code span in the
//! first column of a table; a row may explain several.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What makes an alert, or an error that ends in one or in `fatal:`.
const MAKERS: &[&str] = &[
    "Note::alert",
    "Level::Alert",
    "Level::Fatal",
    "Error::Usage",
    "Error::Temporary",
    "Error::malformed",
    "Error::io",
    "Absence::Unread",
    ".then",
    ".nothing_closed",
];
/// What makes other lines.
const OTHERS: &[&str] = &["Note::warning", "Level::Warning", "Level::Status", "Absence::None", "Error::io"];
/// What makes a warning.
const WARNERS: &[&str] = &["Note::warning", "Level::Warning"];
/// What makes other lines than that.
const NO_WARNERS: &[&str] = &[
    "Note::alert",
    "Level::Alert",
    "Level::Status",
    "Error::Usage",
    "Error::Temporary",
    "Error::malformed",
    "Error::io",
    "Note::warning",
];
/// Functions that make the text of an error or alert for somebody else: file and name.
const ALSO: [(&str, &str); 27] = [
    ("commands/check.rs", "missing"),
    ("os/spawn.rs", "database_program"),
    ("os/spawn.rs", "greeted_with"),
    ("os/spawn.rs", "run"),
    ("os/spawn.rs", "failure_of"),
    ("service/follow_ups.rs", "tell"),
    ("service/follow_ups.rs", "changed_too_often"),
    ("service/follow_ups.rs", "compile"),
    ("service/follow_ups.rs", "leave_to_next_rebuild"),
    ("host/assign.rs", "read_from"),
    ("host/authvars.rs", "add"),
    ("publish/mod.rs", "find"),
    ("host/mod.rs", "has_same"),
    ("rebuild/homes.rs", "recipients_kept"),
    ("fs/budget.rs", "too_long"),
    ("fs/budget.rs", "too_many_alike"),
    ("fs/budget.rs", "too_many_bytes"),
    ("fs/budget.rs", "too_many_entries"),
    ("fs/budget.rs", "too_many_names"),
    ("fs/budget.rs", "too_many_steps"),
    ("fs/silence.rs", "beside"),
    ("fs/silence.rs", "fmt"),
    ("fs/silence.rs", "too_many"),
    ("fs/trust.rs", "doubt"),
    ("fs/trust.rs", "doubt_of_file"),
    ("kernel/linux/touches.rs", "why_no_watcher"),
    ("pipe/fifo.rs", "not_there"),
];

/// Functions that make the text of a warning for somebody else.
const ALSO_FOUND: [(&str, &str); 15] = [
    ("commands/few.rs", "notes"),
    ("commands/mail.rs", "of_mailboxes"),
    ("commands/mail.rs", "loops"),
    ("commands/mail.rs", "onchange_uncalled"),
    ("commands/mail.rs", "twice_named"),
    ("commands/status.rs", "facts"),
    ("commands/status.rs", "for_terminal"),
    ("commands/status.rs", "reasons"),
    ("commands/status.rs", "status"),
    ("tables/others.rs", "sqmail"),
    ("tables/others.rs", "sagredo"),
    ("tables/logins.rs", "words"),
    ("report.rs", "write_all"),
    ("service/status.rs", "differences"),
    ("service/status.rs", "staleness"),
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// A string literal as it is printed, `...` for what is put in; `None` for other tokens.
fn template(token: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = token else { return None };
    let literal = literal.to_string();
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    let (mut text, mut rest) = (String::new(), inner.chars().peekable());
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                // A line that goes on: what begins the next one is skipped.
                Some('\n') => while rest.next_if(|c| c.is_whitespace()).is_some() {},
                Some('n') => text.push('\n'),
                Some(c) => text.push(c),
                None => {}
            },
            '{' | '}' if rest.next_if_eq(&c).is_some() => text.push(c),
            '{' => {
                while rest.next().is_some_and(|c| c != '}') {}
                text.push_str("...");
            }
            c => text.push(c),
        }
    }
    Some(text)
}

/// Whether the template says something by itself.
fn is_said(template: &str) -> bool {
    template.trim_matches(['.', ' ', ':', ';', '"']).contains(' ')
}

/// All literals below, but those of `others`.
fn literals(stream: TokenStream, others: &[&str], found: &mut BTreeSet<String>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    if matches_any(&tokens, others).is_some_and(|(_, is_level)| is_level) {
        return;
    }
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) if !is_call_of(&tokens, at, others) => literals(group.stream(), others, found),
            token => found.extend(template(token).filter(|text| is_said(text))),
        }
    }
}

/// The path that ends before token `at`, as `Error::io` or `.then`.
fn path_before(tokens: &[TokenTree], at: usize) -> String {
    let from = at.saturating_sub(4);
    let text = |token: &TokenTree| match token {
        TokenTree::Group(_) | TokenTree::Literal(_) => " ".to_owned(),
        token => token.to_string(),
    };
    tokens[from..at].iter().map(text).collect()
}

fn is_call_of(tokens: &[TokenTree], at: usize, makers: &[&str]) -> bool {
    let path = path_before(tokens, at);
    makers.iter().any(|maker| path.ends_with(maker))
}

/// Whether one of these stands here as a value, `Level::Alert` say.
fn matches_any(tokens: &[TokenTree], makers: &[&str]) -> Option<(String, bool)> {
    let levels = makers.iter().filter(|maker| maker.starts_with("Level::"));
    let mut levels = levels.filter(|maker| (0..=tokens.len()).any(|at| path_before(tokens, at).ends_with(**maker)));
    levels.next().map(|level| ((*level).to_owned(), true))
}

/// The messages of a function's body; the second answer is whether a call is given a variable.
fn messages(stream: TokenStream, (makers, others): (&[&str], &[&str]), found: &mut BTreeSet<String>) -> bool {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut open = false;
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else { continue };
        let inside: Vec<TokenTree> = group.stream().into_iter().collect();
        if path_before(&tokens, at).ends_with("Error::io") && makers.contains(&"Error::io") {
            // A match on it has no words.
            if let Some(doing) = inside.first().and_then(template) {
                found.insert(format!("unable to {doing} ...: ..."));
            }
        } else if is_call_of(&tokens, at, makers)
            || group.delimiter() == Delimiter::Parenthesis && matches_any(&inside, makers).is_some()
        {
            let mut here = BTreeSet::new();
            // bool::then, whose closure is looked at below.
            if matches!(inside.first(), Some(TokenTree::Punct(p)) if p.as_char() == '|') {
                continue;
            }
            literals(group.stream(), others, &mut here);
            open |= here.is_empty();
            found.extend(here);
        }
    }
    for token in tokens {
        if let TokenTree::Group(group) = token {
            open |= messages(group.stream(), (makers, others), found);
        }
    }
    open
}

/// Every function's body with its name; what stands below `cfg(test)` is left out.
fn functions(stream: TokenStream, found: &mut Vec<(String, TokenStream)>) {
    let mut tokens = stream.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) if group.to_string().replace(' ', "") == "[cfg(test)]" => {
                let is_end = |token: &TokenTree| {
                    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
                        || matches!(token, TokenTree::Punct(end) if end.as_char() == ';')
                };
                tokens.by_ref().find(is_end);
            }
            TokenTree::Ident(word) if word == "fn" => {
                let name = tokens.next().map(|name| name.to_string()).unwrap_or_default();
                for token in tokens.by_ref() {
                    match token {
                        TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                            found.push((name, body.stream()));
                            break;
                        }
                        TokenTree::Punct(end) if end.as_char() == ';' => break,
                        _ => {}
                    }
                }
            }
            TokenTree::Group(group) => functions(group.stream(), found),
            _ => {}
        }
    }
}

/// The functions of the source, each with its file and name.
fn of_files() -> Vec<(String, String, TokenStream)> {
    let folder = repository().join("src");
    let mut all = Vec::new();
    for path in files(&folder) {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        let source: TokenStream = fs::read_to_string(&path).unwrap().parse().unwrap();
        let mut found = Vec::new();
        functions(source, &mut found);
        all.extend(found.into_iter().map(|(function, body)| (name.clone(), function, body)));
    }
    all
}

/// The messages of the source, each with the function that makes it.
fn of_source() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, function, body) in of_files() {
        let mut here = BTreeSet::new();
        let open = messages(body.clone(), (MAKERS, OTHERS), &mut here);
        if open || ALSO.contains(&(&name, &function)) {
            literals(body, OTHERS, &mut here);
        }
        all.extend(here.into_iter().map(|message| (message, format!("{name}: {function}"))));
    }
    all
}

/// The warnings of the source, and whatever else `check` finds.
fn warnings_of_source() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, function, body) in of_files() {
        let mut here = BTreeSet::new();
        let open = messages(body.clone(), (WARNERS, NO_WARNERS), &mut here);
        if name == "commands/check.rs" || ALSO_FOUND.contains(&(&name, &function)) {
            literals(body, &[], &mut here);
        } else if open {
            literals(body, NO_WARNERS, &mut here);
        }
        all.extend(here.into_iter().map(|message| (message.trim().to_owned(), format!("{name}: {function}"))));
    }
    all
}

/// What completes other messages, or belongs to what is no alert and no error.
const PARTS: &[&str] = &[
    " and others",
    "a blank",
    "more line",
    "the byte \\x...",
    "unable to ... ...: ...",
    "logins ... and ... differ only in case",
    "the published tables are out of date: ..., which qmail-updater rebuild --dry-run shows",
];

/// What completes other warnings, or belongs to what is none.
const NO_FINDINGS: &[&str] = &[", ... s ago"];

/// The code spans of the first columns of the tables between two headings.
fn of_document(from: &str, to: Option<&str>) -> BTreeSet<String> {
    let text = fs::read_to_string(repository().join("docs/troubleshooting/messages.md")).unwrap();
    let (_, text) = text.split_once(&format!("\n## {from}\n")).unwrap();
    let text = to.map_or(text, |to| text.split_once(&format!("\n## {to}\n")).unwrap().0);
    let columns = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    columns.flat_map(|(spans, _)| spans.split("` `").map(str::to_owned)).collect()
}

#[test]
fn every_alert_and_fatal_message_is_explained_and_no_other() {
    let mut source = of_source();
    for part in PARTS {
        assert!(source.remove(*part).is_some(), "{part:?} is no part of a message any more");
    }
    let document = of_document("What is wrong in the configuration", Some("Warnings, and what check finds"));
    let missing: Vec<String> = source
        .iter()
        .filter(|(text, _)| !document.contains(*text))
        .map(|(text, at)| format!("`{text}` ({at})"))
        .collect();
    assert!(missing.is_empty(), "docs/troubleshooting/messages.md does not explain:\n{}", missing.join("\n"));
    let gone: Vec<&String> = document.iter().filter(|text| !source.contains_key(*text)).collect();
    assert!(gone.is_empty(), "docs/troubleshooting/messages.md explains what nobody says: {gone:#?}");
}

#[test]
fn every_warning_and_every_finding_of_check_is_explained_and_no_other() {
    let mut source = warnings_of_source();
    for part in NO_FINDINGS {
        assert!(source.remove(*part).is_some(), "{part:?} is no part of a warning any more");
    }
    let alerts = of_document("What is wrong in the configuration", Some("Warnings, and what check finds"));
    let document = of_document("Warnings, and what check finds", None);
    let missing: Vec<String> = source
        .iter()
        .filter(|(text, _)| !document.contains(*text) && !alerts.contains(*text))
        .map(|(text, at)| format!("`{text}` ({at})"))
        .collect();
    assert!(missing.is_empty(), "docs/troubleshooting/messages.md does not explain:\n{}", missing.join("\n"));
    let gone: Vec<&String> = document.iter().filter(|text| !source.contains_key(*text)).collect();
    assert!(gone.is_empty(), "docs/troubleshooting/messages.md explains what nobody says: {gone:#?}");
}
