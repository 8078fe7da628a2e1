//! The documents are in plain English: short sentences, and words that every administrator knows. README is short.

mod support;

use std::fs;
use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use support::documents;

/// The most words that a sentence may have (CONTRIBUTING.md).
const MOST_WORDS: usize = 30;

/// What is said in another word, with the better one. Each is sought as whole words, in any case.
const PATTERNS: [(&str, &str); 15] = [
    ("folder", "directory"),
    ("folders", "directories"),
    ("mend", "fix"),
    ("mends", "fixes"),
    ("mended", "fixed"),
    ("anew", "again"),
    ("made again", "recreated"),
    ("whoever", "the one who"),
    ("poke", "trigger"),
    ("pokes", "triggers"),
    ("at the door", "at RCPT time"),
    ("each 15 minutes", "every 15 minutes"),
    ("one a line", "one per line"),
    ("a line each", "one per line"),
    ("nobody's", "unknown"),
];

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The paragraphs, items and cells of a document, as text; code within a line counts as one word.
fn paragraphs(document: &str) -> Vec<String> {
    let (mut found, mut text, mut is_code) = (Vec::new(), String::new(), false);
    for event in Parser::new_ext(document, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented)) => is_code = true,
            Event::End(TagEnd::CodeBlock) => is_code = false,
            Event::Text(_) if is_code => {}
            Event::Text(more) => text += &more,
            Event::Code(_) => text += "CODE",
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            Event::Start(Tag::List(_))
            | Event::End(TagEnd::Paragraph | TagEnd::Item | TagEnd::TableCell | TagEnd::Heading(_)) => {
                found.push(std::mem::take(&mut text));
            }
            _ => {}
        }
    }
    found
}

/// The sentences of a paragraph: they end with a mark that a blank follows.
fn sentences(paragraph: &str) -> Vec<String> {
    let (mut found, mut sentence) = (Vec::new(), Vec::new());
    for word in paragraph.split_whitespace() {
        sentence.push(word);
        if word.ends_with(['.', '!', '?']) || word.ends_with(".)") {
            found.push(std::mem::take(&mut sentence).join(" "));
        }
    }
    found.push(sentence.join(" "));
    found
}

#[test]
fn no_sentence_of_the_readme_and_the_guide_is_long() {
    let mut long = Vec::new();
    for name in documents() {
        let is_short = ["README.md", "docs/index.md", "docs/helpdesk.md", "docs/troubleshooting/symptoms.md"]
            .contains(&&*name)
            || ["docs/guide/", "docs/reference/settings", "docs/reference/files", "docs/explanation/"]
                .iter()
                .any(|start| name.starts_with(start));
        if !is_short {
            continue;
        }
        for sentence in paragraphs(&read(&name)).iter().flat_map(|paragraph| sentences(paragraph)) {
            let words = sentence.split_whitespace().count();
            if words > MOST_WORDS {
                long.push(format!("{name}: {words} words: {sentence}"));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn the_readme_is_short() {
    let readme = read("README.md");
    assert!(readme.lines().count() <= 120, "{} lines", readme.lines().count());
    assert!(readme.split_whitespace().count() <= 900, "{} words", readme.split_whitespace().count());
}

#[test]
fn documents_and_help_use_plain_words() {
    let pages = [
        "packaging/man/qmail-updater.8",
        "packaging/man/qmail-updater.conf.5",
        "packaging/man/qmail-updater-onchange.5",
    ];
    let others = [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "examples/onchange",
        "examples/push-mailhubs",
        "examples/alerts.yml",
    ];
    let names = documents().into_iter().chain(pages.iter().chain(&others).map(|name| (*name).to_owned()));
    let mut found = Vec::new();
    for name in names {
        let text = read(&name);
        for (number, line) in text.lines().enumerate() {
            // A member of the JSON of 0.1.0 keeps its name.
            let line = line.replace(", folder,", ",");
            let words: String = line
                .chars()
                .map(|c| if c.is_alphanumeric() || ['\'', '_'].contains(&c) { c.to_ascii_lowercase() } else { ' ' })
                .collect();
            let words = format!(" {} ", words.split_whitespace().collect::<Vec<_>>().join(" "));
            for (pattern, better) in PATTERNS {
                if words.contains(&format!(" {pattern} ")) {
                    found.push(format!("{name}: line {}: \"{pattern}\": write \"{better}\"", number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} places:\n{}", found.len(), found.join("\n"));
}
