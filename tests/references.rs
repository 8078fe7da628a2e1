//! What the repository cites is there: sections of docs/rules.md, headings of docs/decisions.md, documents, and where links
//! of the documents lead. What is cited is in the repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file of the repository, by its path in it, but what programs wrote: locks, inputs of fuzzing, test hosts.
fn files() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let inside = path.strip_prefix(repository()).unwrap();
            let written = [".git", "fuzz/corpus", "tests/conformance"].iter().any(|name| inside == Path::new(name));
            match path.is_dir() {
                true if written || path.ends_with("target") => {}
                true => walk(&path, found),
                false => found.push(path),
            }
        }
    }
    let mut paths = Vec::new();
    walk(repository(), &mut paths);
    let name = |path: &Path| path.strip_prefix(repository()).unwrap().display().to_string();
    let text = |path: PathBuf| Some((name(&path), fs::read_to_string(&path).ok()?));
    paths.into_iter().filter(|path| !path.ends_with("Cargo.lock")).filter_map(text).collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap()
}

/// The text as one line, so that a citation may go on in the next line of a comment.
fn joined(text: &str) -> String {
    text.lines()
        .map(|line| line.trim_start().trim_start_matches(['/', '!', '#']).trim_start().to_owned() + " ")
        .collect()
}

/// What follows each place where this is found.
fn after<'t>(text: &'t str, what: &str) -> Vec<&'t str> {
    text.match_indices(what).map(|(at, _)| &text[at + what.len()..]).collect()
}

/// The lines of a document that are in no block of code.
fn prose(document: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    document.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The headings of a document, without their `#`.
fn headings(document: &str) -> Vec<&str> {
    let lines = prose(document).filter(|line| line.starts_with('#'));
    lines.map(|line| line.trim_start_matches('#').trim()).collect()
}

/// The numbers of the sections and chapters of docs/rules.md.
fn sections() -> BTreeSet<String> {
    let rules = read("docs/rules.md");
    headings(&rules).iter().filter_map(|heading| number(heading)).map(str::to_owned).collect()
}

/// The number that a text begins with, as sections have it: `3` or `3.2`, a dot after it left out.
fn number(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    Some(text[..end].trim_end_matches('.')).filter(|number| !number.is_empty())
}

/// The numbers that a text begins with, with `, `, ` and ` or ` to ` between them.
fn numbers(mut text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    while let Some(next) = number(text) {
        found.push(next);
        let rest = &text[next.len()..];
        let Some(more) = [", ", " and ", " to "].iter().find_map(|between| rest.strip_prefix(between)) else { break };
        text = more;
    }
    found
}

/// The part of a link that leads to this heading, as GitHub and others make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn every_cited_section_of_the_rules_is_there() {
    let sections = sections();
    let (mut count, mut wrong) = (0, Vec::new());
    for (name, text) in files() {
        let text = joined(&text);
        let mut cited: Vec<&str> = after(&text, "docs/rules.md, ").into_iter().flat_map(numbers).collect();
        if name == "docs/evidence.md" {
            let of_rules = ["Rule ", "Rules ", "rule ", "rules ", "chapter ", "chapters "];
            cited.extend(of_rules.iter().flat_map(|word| after(&text, word)).flat_map(numbers));
        }
        if name == "docs/rules.md" {
            // Versions and times have other words before them.
            let before = ["(", " in ", " of ", " by ", " as ", " than ", "hapter "];
            cited.extend(
                before
                    .iter()
                    .flat_map(|word| after(&text, word))
                    .flat_map(numbers)
                    .filter(|number| number.contains('.') || text.contains(&format!("hapter {number}"))),
            );
        }
        count += cited.len();
        let missing = cited.into_iter().filter(|number| !sections.contains(*number));
        wrong.extend(missing.map(|number| format!("{name}: docs/rules.md has no section {number}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 80, "only {count} citations found");
}

#[test]
fn every_cited_decision_is_there() {
    let decisions = read("docs/decisions.md");
    let headings = headings(&decisions);
    let (mut count, mut wrong) = (0, Vec::new());
    for (name, text) in files() {
        for cited in after(&joined(&text), "docs/decisions.md, \"") {
            let heading = cited.split('"').next().unwrap_or_default();
            count += 1;
            if !headings.contains(&heading) {
                wrong.push(format!("{name}: docs/decisions.md has no heading \"{heading}\""));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 0);
}

#[test]
fn nothing_is_cited_that_is_not_in_the_repository() {
    // In two pieces, so that they are not found here.
    let papers = [["SP", "EC"].concat(), ["DES", "IGN"].concat()];
    let mut wrong = Vec::new();
    for (name, text) in files() {
        let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        wrong.extend(papers.iter().filter(|paper| words.contains(&&paper[..])).map(|paper| format!("{name}: {paper}")));
        for rest in after(&text, "docs/") {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(rest.len());
            let document = format!("docs/{}.md", &rest[..end]);
            if rest[end..].starts_with(".md") && !repository().join(&document).is_file() {
                wrong.push(format!("{name}: {document}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Where a document leads in the repository, as it is written there.
fn links(document: &str) -> Vec<String> {
    let plain: String = prose(document).map(|line| format!("{line}\n")).collect();
    let links = after(&plain, "](").into_iter().map(|rest| rest.split(')').next().unwrap_or_default().to_owned());
    links.filter(|link| !link.contains("://") && !link.starts_with("mailto:")).collect()
}

#[test]
fn a_package_has_the_files_to_which_its_documents_lead() {
    let (packages, tarball) = (read("Cargo.toml"), read("packaging/release"));
    let to_tarball: String = tarball.lines().filter(|line| line.starts_with("cp ")).collect();
    let is_packaged = |name: &str| packages.contains(&format!("[\"{name}\", \"usr/share/doc/qmail-updater/"));
    // What is for those who have the source leads into it.
    let is_read = |name: &str| name == "README.md" || (name.starts_with("docs/") && name.ends_with(".md"));
    for (name, text) in files().into_iter().filter(|(name, _)| is_read(name)) {
        for link in links(&text).iter().filter(|link| !link.starts_with('#')) {
            let file = link.split('#').next().unwrap_or_default();
            let target = Path::new(&name).parent().unwrap().join(file);
            let inside = target.components().fold(PathBuf::new(), |mut path, part| {
                match part {
                    std::path::Component::ParentDir => drop(path.pop()),
                    part => path.push(part),
                }
                path
            });
            let inside = inside.to_str().unwrap();
            if !inside.starts_with("docs/") {
                assert!(is_packaged(inside), "{name}: {link}: in no package");
                assert!(to_tarball.contains(&format!("{inside} ")), "{name}: {link}: not in the tarball");
            }
        }
    }
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let (mut count, mut wrong) = (0, Vec::new());
    for (name, text) in files().into_iter().filter(|(name, _)| name.ends_with(".md")) {
        for link in links(&text) {
            count += 1;
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let folder = Path::new(&name).parent().unwrap();
            let target = if file.is_empty() { PathBuf::from(&name) } else { folder.join(file) };
            let Ok(there) = fs::read_to_string(repository().join(&target)) else {
                wrong.push(format!("{name}: {link}"));
                continue;
            };
            if !heading.is_empty() && !headings(&there).iter().any(|known| anchor(known) == heading) {
                wrong.push(format!("{name}: {link}: no such heading"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 30, "only {count} links found");
}
