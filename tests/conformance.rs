//! Twelve mail hosts whose verdicts were compared with what real qmail and vpopmail did (docs/evidence.md): every
//! address of them is asked of the published file, and auth.cdb must hold their logins and nothing else.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use qmail_updater::cdb;
use serde_json::Value;
use support::{conformance_host, is_root, skip};

/// How many hosts there are, and how many verdicts and logins they have.
const ALL: (usize, usize, usize) = (12, 40_957, 90);

fn description(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(format!("{name}.json"));
    serde_json::from_slice(&fs::read(&path).unwrap()).unwrap()
}

/// A test for each host, and one that all hosts have one.
macro_rules! hosts {
    ($($host:ident $name:literal)*) => {
        $(#[test]
        fn $host() {
            check($name);
        })*

        #[test]
        fn each_host_has_a_test_and_they_are_all_there() {
            let names = [$($name),*];
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
            let there = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let there: BTreeSet<String> = there.filter(|name| name.ends_with(".json")).collect();
            assert_eq!(there, names.iter().map(|name| format!("{name}.json")).collect());
            let of = |name: &str, what: &str| description(name)[what].as_object().unwrap().len();
            let count = |what: &str| names.iter().map(|name| of(name, what)).sum::<usize>();
            assert_eq!((names.len(), count("smtpd"), count("logins")), ALL);
        }
    };
}

hosts! {
    host_01 "host-01"
    host_02 "host-02"
    host_03 "host-03"
    host_04 "host-04"
    host_05 "host-05"
    host_06 "host-06"
    host_07 "host-07"
    host_08 "host-08"
    host_09 "host-09"
    host_10 "host-10"
    host_11 "host-11"
    host_12 "host-12"
}

/// Names that the hosts say are accepted, because no program line with a special byte was read when they were made. What
/// sh does with the line is known since (docs/rules.md, 12): in `bouncesaying x#y` the # stands in a word and begins no
/// comment, so the line exits 100. The host, what the name begins with, its domain, and the file with the line.
const READ_SINCE: [(&str, &str, &str, &str); 4] = [
    ("host-09", "list-", "v1.test", "/home/vpopmail/domains/v1.test/.qmail-list-default"),
    ("host-09", "v1.test-list-", "mail.test", "/home/vpopmail/domains/v1.test/.qmail-list-default"),
    ("host-09", "v1.test-list-", "two.test", "/home/vpopmail/domains/v1.test/.qmail-list-default"),
    ("host-10", "-", "mail.test", "/home/joe/.qmail--"),
];

/// What a host says of an address.
fn expected<'v>(name: &str, address: &str, verdict: &'v str) -> &'v str {
    let is_read = |(host, local, domain, _): &&(&str, &str, &str, &str)| {
        let (of, at) = address.rsplit_once('@').unwrap_or_default();
        *host == name && at.eq_ignore_ascii_case(domain) && (of == *local || (*local != "-" && of.starts_with(local)))
    };
    match READ_SINCE.iter().find(is_read) {
        Some(_) if verdict == "accept" => "refuse",
        _ => verdict,
    }
}

/// Every verdict and every login of one host is right.
fn check(name: &str) {
    if !is_root() {
        return skip("the conformance hosts", "their files belong to several users, which needs root");
    }
    let description = description(name);
    let host = conformance_host(&description);
    host.rebuild();

    let verdicts = description["smtpd"].as_object().unwrap();
    let addresses: String = verdicts.keys().map(|address| format!("{address}\n")).collect();
    let answer = host.run_with_input(&["lookup"], addresses.as_bytes());
    assert_eq!(answer.stdout.lines().count(), verdicts.len(), "{}", answer.stderr);
    let wrong: Vec<String> = verdicts
        .iter()
        .zip(answer.stdout.lines())
        .map(|((address, verdict), line)| (address, expected(name, address, verdict.as_str().unwrap()), line))
        .filter(|(_, verdict, line)| *verdict != "any" && !line.starts_with(verdict))
        .map(|(address, verdict, line)| format!("{address} should be {verdict}: {line}"))
        .collect();
    let some = &wrong[..wrong.len().min(60)];
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), verdicts.len(), some.join("\n"));

    let image = fs::read(host.published("auth.cdb")).unwrap();
    let published: BTreeMap<String, String> = cdb::Reader::new(&image)
        .unwrap()
        .records()
        .map(|record| [record.key, record.data].map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()))
        .map(|[key, data]| (key, data))
        .collect();
    let expected: BTreeMap<String, String> = serde_json::from_value(description["logins"].clone()).unwrap();
    assert_eq!(published, expected, "logins");

    // `domains` and `user` tell of the same logins, and of names that nobody listed what the file answers for them.
    let json = |arguments: &[&str]| -> Vec<Value> {
        let answer = host.run(arguments);
        serde_json::from_str(&answer.stdout).unwrap_or_else(|cause| panic!("{cause}: {}", answer.stderr))
    };
    let mut told = BTreeSet::new();
    for domain in json(&["domains", "--json"]) {
        let is_name = |name: &&str| !name.starts_with(['.', '*']);
        let Some(of) = domain["domain"].as_str().filter(is_name) else { continue };
        let (asked, accepted) = (host.answers(&[&format!("fresh@{of}")]), domain["others_accepted"] == true);
        assert_eq!(asked, [if accepted { "accept" } else { "refuse" }], "{domain}");
        if !domain["mailboxes"].is_null() {
            let users = json(&["user", "--json", &format!("@{of}")]);
            let logins = users.iter().flat_map(|user| user["logins"].as_array().unwrap());
            told.extend(logins.map(|login| login.as_str().unwrap().to_owned()));
            assert!(users.iter().all(|user| user["published"] == true), "{of}");
        }
    }
    assert_eq!(told, expected.into_keys().collect());

    // The published file is what the next rebuild keeps from: it must come out the same.
    let before = fs::read(host.published("validrcptto.cdb")).unwrap();
    host.rebuild();
    assert!(before == fs::read(host.published("validrcptto.cdb")).unwrap(), "a second rebuild differs");
}
