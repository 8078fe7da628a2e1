//! What the README shows is what happens.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Answer, documents};

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The text without the one figure that differs from run to run.
fn without_time(text: &str) -> String {
    let word = |word: &str| if word.starts_with("ms=") { "ms=...".to_owned() } else { word.to_owned() };
    text.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n").collect()
}

/// The indented or fenced block that follows a line.
fn block_after(text: &str, line: &str) -> String {
    let (_, rest) = text.split_once(&format!("\n{line}\n")).unwrap_or_else(|| panic!("README has no line {line}"));
    let (_, rest) = rest.split_once("```text\n").unwrap();
    rest.split_once("```\n").unwrap().0.to_owned()
}

#[test]
fn the_first_command_prints_what_stands_under_it_under_any_umask() {
    for umask in ["022", "077"] {
        let answer: Answer = Command::new("sh")
            .args(["-c", &format!("umask {umask}; exec sh examples/try")])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap()
            .into();
        assert_eq!((answer.code, &answer.stderr[..]), (0, ""), "umask {umask}");
        // Its "..." stands for lines.
        let shown = without_time(&block_after(&read("README.md"), "sh examples/try"));
        let printed = without_time(&answer.stdout);
        let mut rest = &printed[..];
        for (number, part) in shown.split("...\n").enumerate() {
            let at = rest.find(part).filter(|at| number > 0 || *at == 0);
            let at = at.unwrap_or_else(|| panic!("{part}\nis not shown in\n{rest}"));
            rest = &rest[at + part.len()..];
        }
    }
}

#[test]
fn every_option_has_its_entry_in_the_reference_and_nothing_else_has_one() {
    let help: Answer = Command::new(support::tested()).arg("--help").output().unwrap().into();
    let options = |lines: &mut dyn Iterator<Item = &str>| -> std::collections::BTreeSet<String> {
        let name = |line: &str| -> String {
            line.trim_start().chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect()
        };
        lines.map(name).filter(|name| name.starts_with("--")).collect()
    };
    let settings = read("docs/reference/settings.md");
    let documented = options(&mut settings.lines().filter_map(|line| line.strip_prefix("### `")));
    let lines = help.stdout.lines().filter(|line| !line.contains("--help") && !line.contains("--version"));
    assert_eq!(documented, options(&mut lines.filter(|line| line.trim_start().starts_with("--"))));
}

#[test]
fn the_documents_name_no_option_that_is_not_there() {
    let reference = read("docs/reference/commands.md");
    let commands = reference.lines().filter_map(|line| line.strip_prefix("## "));
    let help = |arguments: &[&str]| -> String {
        let mut command = Command::new(support::tested());
        Answer::from(command.args(arguments).arg("--help").output().unwrap()).stdout
    };
    let mut known = help(&[]);
    commands.for_each(|command| known += &help(&[command]));
    for name in documents() {
        let text = read(&name);
        // Those that a span begins with; commands are run by tests/docs.rs. rsync has --fsync, vpopmail the others.
        for (_, rest) in text.match_indices("`--").map(|(at, _)| text.split_at(at + 1)) {
            let option: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            let is_of_others = ["--fsync", "--enable-onchange-script", "--enable-qmail-ext", "--disable-clear-passwd"]
                .contains(&&*option);
            assert!(is_of_others || known.contains(&option), "{name}: {option}");
        }
    }
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(folder.join("docs/development/threats.md")).unwrap();
    let named = text.split('`').filter_map(|code| code.split_once(".rs: "));
    let mut count = 0;
    for (file, test) in named.filter(|(file, _)| *file != "file") {
        let path = if file.contains('/') { format!("{file}.rs") } else { format!("tests/{file}.rs") };
        let source = std::fs::read_to_string(folder.join(&path)).unwrap_or_else(|cause| panic!("{path}: {cause}"));
        assert!(source.contains(&format!("fn {test}(")), "{path} has no test {test}");
        count += 1;
    }
    assert!(count > 20, "{count}");
}
