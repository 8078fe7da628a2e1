//! The rules of lib.rs, held against the code: who uses whom, and who alone may touch the disk, spawn or print.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every source file by its room, with comments and the tests at its end cut off.
fn sources() -> Vec<(String, PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&folder, &mut files);
    let room = |path: &Path| {
        let first = path.strip_prefix(&folder).unwrap().components().next().unwrap();
        Path::new(&first).file_stem().unwrap().to_str().unwrap().to_owned()
    };
    let code = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
        text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
    };
    files.into_iter().map(|path| (room(&path), path.clone(), code(&path))).collect()
}

/// The table in lib.rs: the rooms, and whom each may use.
fn rules() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    let rule = |row: &str| {
        let (room, rest) = row.split_once("`]").unwrap();
        let uses = rest.split('|').nth(2).unwrap();
        (room.to_owned(), uses.split_whitespace().map(str::to_owned).collect())
    };
    rows.map(rule).collect()
}

#[test]
fn each_room_uses_whom_lib_rs_says_and_nobody_else() {
    let rules = rules();
    let mut used: BTreeMap<String, BTreeSet<String>> =
        rules.keys().map(|room| (room.clone(), BTreeSet::new())).collect();
    for (room, path, code) in sources() {
        for (_, rest) in code.match_indices("crate::").map(|(at, name)| code.split_at(at + name.len())) {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(!name.is_empty(), "{}: a braced import hides whom it uses", path.display());
            if name != room && room != "lib" && room != "main" {
                used.get_mut(&room).unwrap_or_else(|| panic!("lib.rs has no room {room}")).insert(name);
            }
        }
    }
    for (room, used) in used {
        assert_eq!(used, rules[&room], "whom {room} uses, and whom it may");
    }
}

#[test]
fn each_directory_uses_only_those_below_it_in_the_table() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let names = text.lines().filter_map(|line| line.strip_prefix("//! | [`")?.split_once("`]")).map(|(name, _)| name);
    let order: Vec<&str> = names.collect();
    assert_eq!(order.len(), rules().len());
    for (directory, uses) in rules() {
        let place =
            |name: &str| order.iter().position(|other| *other == name).unwrap_or_else(|| panic!("no row {name}"));
        for used in uses {
            assert!(place(&used) > place(&directory), "{directory} uses {used}, which stands above it");
        }
    }
}

#[test]
fn few_rooms_touch_the_disk_one_spawns_and_one_prints_to_standard_error() {
    // What gives it away, and the directories and files that may hold it.
    let rules: [(&str, &[&str]); 14] = [
        ("process::Command", &["os/spawn.rs"]),
        ("std::process::{", &["os/spawn.rs"]),
        ("killpg", &["os/spawn.rs"]),
        ("io::stderr", &["report.rs"]),
        ("eprint", &[]),
        ("io::stdout", &["commands/lookup.rs", "commands/screen.rs", "front/"]),
        (
            "std::fs",
            &[
                "fs/",
                "kernel/",
                "publish/",
                "os/lock.rs",
                "cdb/mod.rs",
                "pipe/fifo.rs",
                "service/watch.rs",
                "front/",
                // Open files without a name only.
                "host/mailboxes/snapshot.rs",
                "sql/mod.rs",
                "sql/sqlite.rs",
            ],
        ),
        ("nix::fcntl", &["fs/", "kernel/", "os/lock.rs", "pipe/", "publish/"]),
        ("rustix", &["fs/", "kernel/"]),
        ("SystemTime", &["rebuild/", "service/", "front/"]),
        ("std::env", &["args.rs", "kernel/freebsd.rs"]),
        ("unsafe", &["os/raw.rs", "lib.rs"]),
        ("target_os", &["kernel/mod.rs", "os/raw.rs"]),
        ("\"/proc", &["kernel/linux/"]),
    ];
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (_, path, code) in sources() {
        let name = path.strip_prefix(&top).unwrap().to_str().unwrap();
        for (sign, places) in rules {
            let may = places.iter().any(|place| name.starts_with(place));
            assert!(!code.contains(sign) || may, "{name} holds {sign}");
        }
    }
}

#[test]
fn the_witnesses_of_the_tests_are_named_by_no_code_of_the_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let (program, tests) = manifest.split_once("[dev-dependencies]").unwrap();
    for name in ["witness_cdb ", "witness_cdb2 "] {
        assert!(tests.contains(name) && !program.contains(name.trim()), "{name}");
    }
    for (_, path, _) in sources() {
        // Its tests too.
        assert!(!fs::read_to_string(&path).unwrap().contains("witness_"), "{}", path.display());
    }
}
