//! The benchmark runs to its end on a small host, and finds that all contenders make the same tables.

mod support;

use std::fs;
use std::path::Path;

use support::{NOT_DUMPABLE, benchmark, is_root, skip};

/// What it says on the way on a small host below `folder`, and what it prints.
fn bench(folder: &Path, options: &[&str]) -> (String, String) {
    let output = benchmark(folder, options);
    let (said, printed) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{said}");
    (said.into_owned(), printed.into_owned())
}

#[test]
fn the_benchmark_runs_and_all_contenders_make_the_same_tables() {
    if !is_root() {
        return skip("the benchmark", NOT_DUMPABLE);
    }
    let folder = tempfile::Builder::new().prefix("qmail-updater-test.").tempdir().unwrap();
    let (said, printed) = bench(folder.path(), &[]);
    // In each of the 10 domains 99 mailboxes and 10 names with a file, of which one has two spellings; a catch-all and the name
    // that it does not take; postmaster without a domain.
    assert!(said.contains("10 domains: all made the same 1093 recipients and 980 logins"), "{said}");
    assert!(printed.contains("| full rebuild / the Perl rebuild |"), "{printed}");
    for figure in ["time-by-size.svg", "where-the-time-goes.svg"] {
        assert!(folder.path().join(figure).is_file(), "{figure}");
    }
    // A declared agent costs about what vdelivermail does, and the host is as it was before.
    let default = folder.path().join("host-10/home/vpopmail/domains/shop7.example/.qmail-default");
    let before = fs::read(&default).unwrap();
    let (_, printed) = bench(folder.path(), &["--declared"]);
    assert!(printed.contains("dovecot-lda, declared / vdelivermail: "), "{printed}");
    assert_eq!(fs::read(&default).unwrap(), before);
    assert!(folder.path().join("host-10.complete").is_file());
}
