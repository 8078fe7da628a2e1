//! Twelve mail hosts whose verdicts were compared with what real qmail and vpopmail did (docs/evidence.md): every
//! address of them is asked of the published file, and auth.cdb must hold their logins and nothing else.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use qmail_updater::cdb;
use serde_json::Value;
use support::{conformance_host, is_root, skip};

#[test]
fn every_verdict_and_every_login_of_the_conformance_hosts() {
    if !is_root() {
        return skip("the conformance hosts", "their files belong to several users, which needs root");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let (mut asked, mut logins, mut wrong) = (0, 0, Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let description: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let name = description["name"].as_str().unwrap();
        let host = conformance_host(&description);
        host.rebuild();

        let verdicts = description["smtpd"].as_object().unwrap();
        let addresses: String = verdicts.keys().map(|address| format!("{address}\n")).collect();
        let answer = host.run_with_input(&["lookup"], addresses.as_bytes());
        assert_eq!(answer.stdout.lines().count(), verdicts.len(), "{name}: {}", answer.stderr);
        for ((address, verdict), line) in verdicts.iter().zip(answer.stdout.lines()) {
            let verdict = verdict.as_str().unwrap();
            asked += 1;
            if verdict != "any" && !line.starts_with(verdict) {
                wrong.push(format!("{name}: {address} should be {verdict}: {line}"));
            }
        }

        let image = fs::read(host.published("auth.cdb")).unwrap();
        let published: BTreeMap<String, String> = cdb::Reader::new(&image)
            .unwrap()
            .records()
            .map(|record| [record.key, record.data].map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()))
            .map(|[key, data]| (key, data))
            .collect();
        let expected: BTreeMap<String, String> = serde_json::from_value(description["logins"].clone()).unwrap();
        logins += expected.len();
        if published != expected {
            wrong.push(format!("{name}: logins {published:?} instead of {expected:?}"));
        }

        // `domains` and `user` tell of the same logins, and of names that nobody listed what the file answers for them.
        let json = |arguments: &[&str]| -> Vec<Value> {
            let answer = host.run(arguments);
            serde_json::from_str(&answer.stdout).unwrap_or_else(|cause| panic!("{name}: {cause}: {}", answer.stderr))
        };
        let mut told = BTreeSet::new();
        for domain in json(&["domains", "--json"]) {
            let is_name = |name: &&str| !name.starts_with(['.', '*']);
            let Some(of) = domain["domain"].as_str().filter(is_name) else { continue };
            let (asked, accepted) = (host.answers(&[&format!("fresh@{of}")]), domain["others_accepted"] == true);
            assert_eq!(asked, [if accepted { "accept" } else { "refuse" }], "{name}: {domain}");
            if !domain["mailboxes"].is_null() {
                let users = json(&["user", "--json", &format!("@{of}")]);
                let logins = users.iter().flat_map(|user| user["logins"].as_array().unwrap());
                told.extend(logins.map(|login| login.as_str().unwrap().to_owned()));
                assert!(users.iter().all(|user| user["published"] == true), "{name}: {of}");
            }
        }
        assert_eq!(told, expected.into_keys().collect(), "{name}");

        // The published file is what the next rebuild keeps from: it must come out the same.
        let before = fs::read(host.published("validrcptto.cdb")).unwrap();
        host.rebuild();
        assert!(before == fs::read(host.published("validrcptto.cdb")).unwrap(), "{name}: a second rebuild differs");
    }
    assert!(wrong.is_empty(), "{} of {asked} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
    println!("{asked} verdicts and {logins} logins right");
    assert_eq!((asked, logins), (40_957, 90), "the hosts are not all there");
}
