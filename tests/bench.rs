//! The benchmark runs to its end on a small host, and finds that all contenders make the same tables.

mod support;

use std::process::Command;

use support::{NOT_DUMPABLE, is_root, skip};

#[test]
fn the_benchmark_runs_and_all_contenders_make_the_same_tables() {
    if !is_root() {
        return skip("the benchmark", NOT_DUMPABLE);
    }
    let folder = tempfile::Builder::new().prefix("qmail-updater-test.").tempdir().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--example", "bench", "--", "S", "--runs", "1"])
        .args(["--program", support::tested()])
        .arg("--folder")
        .arg(folder.path())
        .arg("--svg")
        .arg(folder.path())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let (said, printed) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{said}");
    // In each of the 10 domains 99 mailboxes and 10 names with a file, of which one has two spellings; a catch-all and the name
    // that it does not take; postmaster without a domain.
    assert!(said.contains("10 domains: all made the same 1093 recipients and 980 logins"), "{said}");
    assert!(printed.contains("| full rebuild / the Perl rebuild |"), "{printed}");
    for figure in ["time-by-size.svg", "where-the-time-goes.svg"] {
        assert!(folder.path().join(figure).is_file(), "{figure}");
    }
}
