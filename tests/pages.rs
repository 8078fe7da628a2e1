//! The manual pages and completions that are packaged say what the program does.

mod support;

#[path = "../examples/pages.rs"]
mod pages;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{has, skip};

#[test]
fn the_pages_and_completions_are_those_of_this_program() {
    for (path, content) in pages::pages() {
        let committed = fs::read(&path).unwrap_or_default();
        assert!(committed == content, "{}: `cargo run --example pages` writes it again", path.display());
    }
}

#[test]
fn the_manual_pages_are_sound() {
    if let Some(missing) = ["man", "groff"].iter().find(|program| !has(program)) {
        return skip("the manual pages", &format!("{missing} is not installed (man-db)"));
    }
    for page in ["qmail-updater.8", "qmail-updater.conf.5", "qmail-updater-onchange.5"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/man").join(page);
        let man = Command::new("man").args(["--warnings", "-l"]).arg(&path).env("LC_ALL", "C").output().unwrap();
        assert!(man.status.success() && man.stderr.is_empty(), "{page}: {}", String::from_utf8_lossy(&man.stderr));
    }
}

#[test]
fn the_page_of_onchange_names_every_notice_that_the_program_knows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(folder.join("packaging/man/qmail-updater-onchange.5")).unwrap();
    let told = page.split_once("\n.SH WHAT IT IS TOLD\n").unwrap().1.split_once("\n.SH ").unwrap().0;
    let told: Vec<&str> = told.split(|c: char| !(c.is_ascii_lowercase() || c == '_')).collect();
    // The table of notices, `("as it is sent", "as it is documented"),` a line.
    let code = fs::read_to_string(folder.join("src/pipe/notice.rs")).unwrap();
    let lines = code.lines().filter_map(|line| line.strip_prefix("    (\"")?.strip_suffix("\"),"));
    let notices: Vec<&str> = lines.map(|line| line.split_once("\", \"").unwrap().0).collect();
    assert!(notices.len() > 10, "{notices:?}");
    for notice in notices {
        assert!(told.contains(&notice), "{notice}");
    }
}

#[test]
fn the_changelog_of_the_package_is_at_this_version() {
    let changelog =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/debian/changelog")).unwrap();
    let head = concat!("qmail-updater (", env!("CARGO_PKG_VERSION"), "-1) ");
    assert!(changelog.starts_with(head), "{head}: {changelog}");
}
