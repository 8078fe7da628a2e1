//! `explain` says the verdict first, exits by the published table, names where forwards lead and what leads to an address,
//! and says when a domain is held, kept or open.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::MailHost;
use support::service::{self, Service};

const COM: &str = "/home/vpopmail/domains/example.com";

fn json(host: &MailHost, arguments: &[&str]) -> Value {
    let answer = host.run(arguments);
    serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// What a person reads, with one blank between two words.
fn told(host: &MailHost, arguments: &[&str]) -> String {
    let answer = host.run(&[&["--color", "always"], arguments].concat());
    answer.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The only address that was explained.
fn explained(host: &MailHost, address: &str) -> Value {
    let all = json(host, &["explain", "--json", address]);
    assert_eq!((all["version"].as_u64(), all["addresses"].as_array().unwrap().len()), (Some(1), 1), "{all}");
    all["addresses"][0].clone()
}

#[test]
fn the_exit_status_is_that_of_the_published_table_and_the_worst_of_several() {
    let host = MailHost::sample();
    let answer = host.run(&["explain", "ann@example.com"]);
    assert_eq!(answer.code, 111, "no table: {answer:?}");
    assert!(answer.stdout.contains("not published yet") && answer.stdout.ends_with("\ndeliver\n"), "{answer:?}");
    host.rebuild();
    for (addresses, code) in [
        (&["ann@example.com"][..], 0),
        (&["anybody@backup.example", "erik@relay.example"], 0),
        (&["nobody@example.com"], 1),
        (&["nobody@relay.example"], 1),
        // Another host's, and not accepted.
        (&["ann@elsewhere.example"], 1),
        (&["ann@example.com", "nobody@example.com", "carol@mail.example.org"], 1),
    ] {
        let arguments: Vec<&str> = ["explain"].into_iter().chain(addresses.iter().copied()).collect();
        let answer = host.run(&arguments);
        assert_eq!(answer.code, code, "{answer:?}");
        let lookup: Vec<&str> = ["lookup"].into_iter().chain(addresses.iter().copied()).collect();
        assert_eq!(host.run(&lookup).code, code, "lookup {addresses:?}");
    }
    // The table decides, not what a rebuild would make of it.
    host.write(&format!("{COM}/.qmail-new"), "&ann@example.com\n");
    assert_eq!(host.run(&["explain", "new@example.com"]).code, 1);
    assert!(explained(&host, "new@example.com")["reason"].as_str().unwrap().contains("out of date"));
    host.rebuild();
    assert_eq!(host.run(&["explain", "new@example.com"]).code, 0);
    host.remove("/var/qmail/control/validrcptto.cdb");
    assert_eq!(host.run(&["explain", "elsewhere@x.example", "new@example.com"]).code, 111);
}

#[test]
fn what_was_pasted_with_an_address_is_named() {
    let host = MailHost::sample();
    host.rebuild();
    let reason = |address: &str| explained(&host, address)["reason"].as_str().unwrap().to_owned();
    for pasted in
        ["bob@example.com ", "Bob B. <bob@example.com>", "bob@example.com,", " bob@example.com.", "\"bob@example.com\""]
    {
        let told = reason(pasted);
        assert!(
            told.ends_with("\"; did you mean bob@example.com?") && told.contains("does not list \""),
            "{pasted}: {told}"
        );
    }
    for pasted in [
        "mailto:bob@example.com",
        "MailTo:bob@example.com",
        " bob@example.com",
        "'bob@example.com",
        "<bob@example.com",
        "\"bob\"@example.com",
    ] {
        let told = reason(pasted);
        assert!(told.ends_with("; did you mean bob@example.com?"), "{pasted}: {told}");
    }
    assert!(!reason("nobody@example.com").contains("did you mean"));
    assert!(reason("x@gmail.example").ends_with("rcpthosts does not list gmail.example"));
    assert!(reason("@example.net").starts_with("no name before the @; "), "{}", reason("@example.net"));
}

#[test]
fn forwards_name_their_targets_and_an_address_what_leads_to_it() {
    let host = MailHost::sample();
    host.write(&format!("{COM}/.qmail-team"), "# both\n&ann@example.com\n&Joe@Example.net\n|exit 0\n");
    // Several lines of one file are one way.
    host.write(&format!("{COM}/.qmail-to:ann"), "ann@example.com\n".repeat(3));
    host.rebuild();
    let team = explained(&host, "team@example.com");
    assert_eq!(team["forwards_to"], serde_json::json!(["ann@example.com", "Joe@Example.net"]), "{team}");
    let in_pipe = host.run(&["explain", "team@example.com"]).stdout;
    assert!(in_pipe.contains("forwards: delivered\tann@example.com\tJoe@Example.net\n"), "{in_pipe}");
    // The catch-all of example.net delivers to ann.
    let other = explained(&host, "whatever@example.net");
    assert_eq!(other["forwards_to"], serde_json::json!(["ann@example.com"]), "{other}");
    let ann = explained(&host, "ann@example.com");
    let by = |address: &str| {
        let found = ann["also_reached_by"].as_array().unwrap().iter().find(|by| by["address"] == address);
        found.map(|by| by["by"].as_str().unwrap().to_owned())
    };
    assert_eq!(by("team@example.com").as_deref(), Some("forward"), "{ann}");
    assert_eq!(by("to.ann@example.com").as_deref(), Some("forward"), "{ann}");
    assert_eq!(ann.to_string().matches("to.ann@example.com").count(), 1, "{ann}");
    assert_eq!(by("(any other name)@example.net").as_deref(), Some("catch-all"), "{ann}");
    assert_eq!(by("ann@example.edu").as_deref(), Some("alias domain"), "{ann}");
    assert_eq!(by("ann@example.com"), None, "{ann}");
    assert!(explained(&host, "team@example.com")["also_reached_by"].to_string().contains("team@example.edu"));
}

#[test]
fn all_forwards_of_a_file_are_named_whatever_else_it_does() {
    let host = MailHost::sample();
    let both = &["ann@example.com", "carla@example.com"][..];
    for (name, lines, wanted) in [
        ("copy", "./bob/Maildir/\n&ann@example.com\n&carla@example.com\n", both),
        ("copied", "&ann@example.com\n./bob/Maildir/\ncarla@example.com\n", both),
        ("away", "&ann@example.com\n|/usr/bin/vacation bob\n&carla@example.com\n", both),
        ("plain", "&ann@example.com\n&carla@example.com\n", both),
        ("half", "&ann@example.com\n|exit 99\n&carla@example.com\n", &both[..1]),
        ("none", "|exit 99\n&ann@example.com\n", &[]),
        ("only", "./bob/Maildir/\n", &[]),
    ] {
        host.write(&format!("{COM}/.qmail-{name}"), lines);
        let told = explained(&host, &format!("{name}@example.com"));
        assert_eq!(told["forwards_to"], serde_json::json!(wanted), "{name}: {told}");
        let text = told_of(&host, name);
        assert_eq!(text.contains("forwards to"), !wanted.is_empty(), "{name}: {text}");
        wanted.iter().for_each(|to| assert!(text.contains(to), "{name}: {to}: {text}"));
    }
    // A copy of all mail of a domain.
    host.write(
        &format!("{COM}/.qmail-default"),
        "|/home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n&carla@example.com\n",
    );
    assert_eq!(explained(&host, "ann@example.com")["forwards_to"], serde_json::json!(["carla@example.com"]));
    assert_eq!(explained(&host, "nosuch@example.com")["forwards_to"], serde_json::json!([]));
    // A line of a script names what the line of the file names.
    let in_pipe = host.run(&["explain", "copy@example.com"]).stdout;
    assert!(in_pipe.contains(": line 1: mailbox or maildir: delivered\n"), "{in_pipe}");
}

/// What a person is told about a name of example.com.
fn told_of(host: &MailHost, name: &str) -> String {
    let address = format!("{name}@example.com");
    told(host, &["explain", &address]) + &host.run(&["user", &address]).stderr
}

#[test]
fn the_maildirs_of_an_alias_are_named_and_the_alias_by_their_mailbox() {
    let host = MailHost::sample();
    let maildir = format!("{COM}/bob/Maildir/");
    for (name, lines, wanted) in [
        ("copy", "./bob/Maildir/\n&carla@example.com\n".to_owned(), &["./bob/Maildir/"][..]),
        ("two", format!("{maildir}\n./carla/Maildir/\n"), &[&maildir, "./carla/Maildir/"]),
        ("away", format!("|/usr/bin/vacation bob\n{maildir}\n"), &[&maildir]),
        ("end", format!("./ann/Maildir/\n|exit 99\n{maildir}\n"), &["./ann/Maildir/"]),
        // Bytes that no path of people has may be a secret behind a link.
        ("secret", "/$6$salt$hash\n".to_owned(), &[]),
        ("forward", "&bob@example.com\n".to_owned(), &[]),
    ] {
        host.write(&format!("{COM}/.qmail-{name}"), lines);
        let address = format!("{name}@example.com");
        assert_eq!(explained(&host, &address)["delivered_to"], serde_json::json!(wanted), "{name}");
        let (text, user) = (told(&host, &["explain", &address]), host.run(&["user", &address]).stderr);
        for directory in wanted {
            assert!(text.contains(&format!("delivered to {directory}")) && user.contains(directory), "{text} {user}");
        }
        assert_eq!(text.matches("delivered to").count(), wanted.len(), "{name}: {text}");
    }
    // A file that no mail comes to.
    host.write(&format!("{COM}/.qmail-Upper"), &maildir);
    let bob = explained(&host, "bob@example.com");
    let all: Vec<String> = ["away", "copy", "two"]
        .iter()
        .flat_map(|name| ["com", "edu"].map(|end| format!("{name}@example.{end}")))
        .collect();
    assert_eq!(bob["also_reached_by_maildir"], serde_json::json!(all), "{bob}");
    assert!(!bob["also_reached_by"].to_string().contains("copy@"), "{bob}");
    let text = told(&host, &["explain", "bob@example.com"]);
    assert!(text.contains("also reached by away@example.com (maildir), away@example.edu (maildir), "), "{text}");
    assert!(!host.run(&["explain", "copy@example.com"]).stdout.contains("./bob/Maildir/"), "a script reads the steps");
}

#[test]
fn a_catch_all_that_is_a_directory_is_no_address() {
    let host = MailHost::sample();
    let directory = "/home/vpopmail/domains/example.net/postmaster";
    for catch_all in [directory, "./postmaster"] {
        host.write(
            "/home/vpopmail/domains/example.net/.qmail-default",
            format!("|/home/vpopmail/bin/vdelivermail '' {catch_all}\n"),
        );
        let text = told(&host, &["explain", "anybody@example.net"]);
        assert!(text.contains(&format!(" delivered to {catch_all} ")) && !text.contains("forwards to"), "{text}");
        let user = host.run(&["user", "anybody@example.net"]).stderr;
        assert!(user.contains(&format!("it goes to {catch_all}")) && !user.contains("bounces"), "{user}");
        assert_eq!(explained(&host, "anybody@example.net")["forwards_to"], serde_json::json!([catch_all]));
    }
}

#[test]
fn a_forward_that_holds_no_address_is_named_by_its_line_only() {
    let host = MailHost::sample();
    for line in [
        "Ann <ann@example.com>",
        "&<ann@example.com>",
        "ann@example.com, carla@example.com",
        "ann @example.com",
        " ann@example.com",
        "& ann@example.com",
    ] {
        host.write(&format!("{COM}/.qmail-sp"), format!("# team\n{line}\n&carla@example.com\n"));
        let text = told_of(&host, "sp");
        assert_eq!(text.matches("(line 2 of .qmail-sp is no address)").count(), 2, "{line}: {text}");
        assert_eq!(text.matches("ann").count(), 0, "{line}: {text}");
        assert_eq!(
            explained(&host, "sp@example.com")["forwards_to"],
            serde_json::json!(["carla@example.com"]),
            "{line}"
        );
    }
    let lost = "forwards: delivered; but no address that it forwards to takes the mail";
    for lines in ["ann@example.com, carla@example.com\n", "&nosuch@example.com\n", "&sp@example.com\n"] {
        host.write(&format!("{COM}/.qmail-sp"), lines);
        host.rebuild();
        assert!(told_of(&host, "sp").contains(lost), "{lines}: {}", told_of(&host, "sp"));
    }
    for lines in [
        "&nosuch@example.com\n&carla@example.com\n",
        "./bob/Maildir/\n&nosuch@example.com\n",
        "|/usr/bin/vacation bob\n&nosuch@example.com\n",
        "|/usr/bin/vacation bob\nAnn <ann@example.com>\n",
    ] {
        host.write(&format!("{COM}/.qmail-sp"), lines);
        assert!(!told_of(&host, "sp").contains("but no address"), "{lines}: {}", told_of(&host, "sp"));
    }
    // A copy of all mail, which arrives without it.
    host.write(
        &format!("{COM}/.qmail-default"),
        "|/home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n&nosuch@example.com\n",
    );
    assert!(!told_of(&host, "ann").contains("but no address"), "{}", told_of(&host, "ann"));
    host.write(&format!("{COM}/.qmail-sp"), "&carla@example.com  \n#, a comment\n|exit 0 # <x>\n\n");
    assert!(!told_of(&host, "sp").contains("is no address"));
}

#[test]
fn an_address_is_reached_by_those_that_are_delivered_to_it_in_each_name_of_their_domain_and_by_no_others() {
    let host = MailHost::sample();
    let virtual_domains = std::fs::read_to_string(host.path("/var/qmail/control/virtualdomains")).unwrap();
    host.write("/var/qmail/control/virtualdomains", format!("carla@example.edu:carol\n{virtual_domains}"));
    for (name, lines) in [
        ("team", "&ann@example.com\n"),
        // By the other name of its domain.
        ("crew", "&ann@example.edu\n"),
        ("list-default", "&ann@example.com\n"),
        // No mail comes to it; it bounces first; what stands behind exit 99 is not read.
        ("Upper", "&ann@example.com\n"),
        ("bounced", "&ann@example.com\n|exit 100\n"),
        ("done", "|exit 99\n&ann@example.com\n"),
    ] {
        host.write(&format!("{COM}/.qmail-{name}"), lines);
    }
    host.rebuild();
    let reached = |address: &str| -> BTreeSet<String> {
        let told = explained(&host, address);
        let told = told["also_reached_by"].as_array().unwrap();
        let one = |by: &Value| format!("{} {}", by["address"].as_str().unwrap(), by["by"].as_str().unwrap());
        told.iter().map(one).collect()
    };
    let of_ann = reached("ann@example.com");
    let both = |name: &str| ["com", "edu"].map(|end| format!("{name}@example.{end} forward"));
    let forwards = ["team", "crew", "list-(any other name)"].into_iter().flat_map(both);
    for wanted in forwards.chain(["ann@example.edu alias domain".to_owned()]) {
        assert!(of_ann.contains(&wanted), "{wanted} is missing: {of_ann:?}");
    }
    for no in ["upper@", "Upper@", "bounced@", "done@"] {
        assert!(!of_ann.iter().any(|by| by.starts_with(no)), "{no}: {of_ann:?}");
    }
    // The same mailbox by its other name.
    let by_its_alias = reached("ann@example.edu");
    assert!(by_its_alias.contains("ann@example.com alias domain"), "{by_its_alias:?}");
    assert_eq!(of_ann.len(), by_its_alias.len(), "{of_ann:?} {by_its_alias:?}");
    // No mailbox has this name; the mail of the other one goes to carol.
    assert_eq!(reached("nosuch@example.com"), BTreeSet::new());
    let of_carla = reached("carla@example.com");
    assert!(!of_carla.iter().any(|by| by.starts_with("carla@example.edu")), "{of_carla:?}");
}

#[test]
fn a_link_to_secrets_shows_none_of_their_lines() {
    let host = MailHost::sample();
    host.write("/home/vpopmail/secret", "root:$6$salt$abcdefghijklmnop:1::::::\nplainword$x\n");
    host.link(&format!("{COM}/.qmail-leak"), "/home/vpopmail/secret");
    host.rebuild();
    for arguments in [&["explain", "leak@example.com"][..], &["explain", "--json", "leak@example.com"]] {
        let told = host.run(arguments).stdout;
        assert!(!told.contains("root:") && !told.contains("abcdefgh") && !told.contains("plainword"), "{told}");
    }
}

#[test]
fn a_kept_an_open_and_a_held_domain_say_so() {
    let host = MailHost::sample();
    let many: String = (0..150).map(|number| format!("&u{number}@far.example\n")).collect();
    for (number, line) in many.lines().enumerate() {
        host.write(&format!("/home/vpopmail/domains/example.net/.qmail-u{number}"), line);
    }
    host.write(
        "/home/vpopmail/domains/example.net/.qmail-default",
        "|/home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n",
    );
    host.rebuild();
    // Kept: the directory is gone.
    std::fs::rename(host.path(COM), host.path("/home/vpopmail/domains/away")).unwrap();
    // Open: a program that is not known answers for every name.
    host.write("/home/carol/.qmail-default", "|/usr/local/bin/unknown-filter\n");
    // Held: it would lose most of its names.
    for number in 0..150 {
        host.remove(&format!("/home/vpopmail/domains/example.net/.qmail-u{number}"));
    }
    host.run(&["rebuild"]);
    let state = |address: &str| explained(&host, address)["state"].as_str().unwrap().to_owned();
    assert_eq!(state("ann@example.com"), "kept");
    // It is accepted: a reason that ends in "deferred" would contradict that.
    let reason = explained(&host, "ann@example.com")["reason"].as_str().unwrap().to_owned();
    assert_eq!(reason, "as published before; delivery waits until what decides can be read");
    assert_eq!(state("u7@example.net"), "held");
    assert_eq!(state("carol-x@mail.example.org"), "open");
    assert_eq!(state("erik@relay.example"), "ok");
    let held = explained(&host, "u7@example.net");
    assert_eq!((held["verdict"].as_str(), held["delivery"].as_str()), (Some("accepted"), Some("bounce")), "{held}");
    assert!(held["reason"].as_str().unwrap().contains("held by the loss guard"), "{held}");
    let told_of_held = told(&host, &["explain", "u7@example.net"]);
    assert!(told_of_held.contains("delivery bounces now: qmail returns the message to its sender"), "{told_of_held}");
    // A new name has no entry that is held.
    host.write("/home/vpopmail/domains/example.net/.qmail-new", "&ann@example.com\n");
    let new = explained(&host, "new@example.net");
    assert_eq!((new["verdict"].as_str(), new["state"].as_str()), (Some("refused"), Some("held")), "{new}");
    assert!(new["reason"].as_str().unwrap().starts_with("the published table is out of date"), "{new}");
    host.remove("/home/vpopmail/domains/example.net/.qmail-new");
    let in_pipe = host.run(&["explain", "u7@example.net"]);
    assert!(in_pipe.stdout.contains("\texample.net has been held by the loss guard"), "{in_pipe:?}");
    assert_eq!(in_pipe.code, 0, "the table accepts it");
    // `domains` has the same words, as its last field.
    let lines = |arguments: &[&str]| -> Vec<(String, String)> {
        let answer = host.run(arguments);
        assert_eq!(answer.code, 0, "{answer:?}");
        let field = |line: &str| {
            let fields: Vec<&str> = line.split('\t').collect();
            assert_eq!(fields.len(), 10, "{line}");
            (fields[0].split(' ').next().unwrap().to_owned(), fields[9].to_owned())
        };
        answer.stdout.lines().map(field).collect()
    };
    let all = lines(&["domains"]);
    let of = |name: &str| all.iter().find(|(domain, _)| domain == name).map(|(_, state)| state.as_str());
    assert_eq!((of("example.com"), of("example.edu")), (Some("kept"), Some("kept")));
    assert_eq!((of("example.net"), of("relay.example")), (Some("held"), Some("ok")));
    assert_eq!(lines(&["domains", "--held"]), [("example.net".to_owned(), "held".to_owned())]);
    let summary = host.run(&["rebuild", "--dry-run", "--summary"]);
    assert!(
        summary.stdout.lines().any(|line| line.starts_with("example.net\t") && line.ends_with("\theld")),
        "{summary:?}"
    );
}

#[test]
fn a_hold_is_told_by_each_command_on_a_terminal() {
    let host = MailHost::sample();
    support::lose_much(&host, "/home/vpopmail/domains/example.net");
    // Nothing is held before a rebuild.
    let status = told(&host, &["status"]);
    assert!(status.contains("at the next rebuild the loss guard holds 1 domain: example.net"), "{status}");
    assert!(status.contains("the next rebuild would hold 1 domain: example.net"), "{status}");
    let words = "example.net has been held by the loss guard for 0 min";
    assert!(!told(&host, &["user", "@example.net"]).contains(words));
    assert!(!host.run(&["list", "recipients"]).stderr.contains("loss guard"));
    let pipe = |host: &MailHost, arguments: &[&str]| host.run(arguments).stdout;
    let (user, list) = (pipe(&host, &["user", "@example.net"]), pipe(&host, &["list", "recipients"]));
    let service = Service::start(host, &["--no-watch"]);
    while service::status_of(&service.host)["held_until"].is_null() {
        service::pause();
    }
    let host = &service.host;
    let status = told(host, &["status"]);
    assert!(status.contains("the loss guard holds 1 domain: example.net"), "{status}");
    assert!(!status.contains("next rebuild"), "{status}");
    // One that is back is no riddle: the whole answer has the numbers of the last rebuild.
    let back = "/home/vpopmail/domains/example.net/.qmail-u7";
    host.write(back, "&ann@example.com\n");
    let status = told(host, &["status"]);
    let held = "1 domain: example.net ";
    let numbers = status.match_indices(held).map(|(at, _)| status[at + held.len()..].split(" recipients").next());
    let numbers: Vec<_> = numbers.collect();
    assert!(numbers.len() > 1 && numbers.iter().all(|number| *number == numbers[0]), "{status}");
    host.remove(back);
    let ends = "the service publishes the first loss in ";
    for arguments in [["explain", "u7@example.net"], ["user", "@example.net"], ["user", "dora@example.net"]] {
        let text = told(host, &arguments);
        assert!(text.contains(words) && text.contains(ends), "{arguments:?}: {text}");
    }
    let listed = host.run(&["list", "recipients"]);
    assert!(listed.stderr.contains("warning: the loss guard holds example.net: a rebuild keeps "), "{listed:?}");
    // A script reads what it read.
    assert_eq!((pipe(host, &["user", "@example.net"]), listed.stdout), (user, list));
    assert!(!pipe(host, &["explain", "u7@example.net"]).contains(ends));
    assert!(!explained(host, "u7@example.net").to_string().contains(ends));
}

#[test]
fn an_open_domain_is_found_by_its_option() {
    let host = MailHost::sample();
    host.write(&format!("{COM}/.qmail-default"), "|/usr/local/bin/unknown-filter\n");
    host.rebuild();
    let answer = host.run(&["domains", "--open"]);
    let names: Vec<&str> = answer.stdout.lines().map(|line| line.split(['\t', ' ']).next().unwrap()).collect();
    assert_eq!((names, answer.code), (vec!["example.com", "example.edu"], 0), "{}", answer.stdout);
    assert_eq!(explained(&host, "x@example.com")["state"], "open");
    assert_eq!(host.run(&["domains", "--held"]).stdout, "");
    assert_eq!(host.run(&["domains", "--held", "none.example"]).code, 1, "no domain of this host");
}

#[test]
fn a_dry_run_counts_its_changes_by_domain() {
    let host = MailHost::sample();
    host.rebuild();
    host.write(&format!("{COM}/.qmail-new"), "&ann@example.com\n")
        .write(&format!("{COM}/.qmail-newer"), "&ann@example.com\n");
    host.write("/var/qmail/control/validrcptto.d/relay.example", "erik\n");
    let changes = host.run(&["rebuild", "--dry-run"]).stdout;
    let summary = host.run(&["rebuild", "--dry-run", "--summary"]);
    let of = |domain: &str, sign: &str, is_login: bool| {
        let end = format!("@{domain}");
        let is = |line: &&str| {
            let is_of_it = if domain == "-" { !line.contains('@') } else { line.ends_with(&end) };
            line.starts_with(sign) && is_of_it && (line.split('\t').nth(1) == Some("login")) == is_login
        };
        changes.lines().filter(is).count()
    };
    let domain = |line: &str| line.split_once('@').map_or("-", |(_, domain)| domain).to_owned();
    let domains: BTreeSet<String> = changes.lines().map(domain).collect();
    assert!(domains.contains("example.com") && domains.contains("relay.example"), "{changes}");
    for domain in &domains {
        let numbers = [("+", false), ("-", false), ("+", true), ("-", true), ("~", true)];
        let numbers = numbers.map(|(sign, is_login)| of(domain, sign, is_login).to_string()).join("\t");
        let line = format!("{domain}\t{numbers}\tok\n");
        assert!(summary.stdout.contains(&line), "{line}\n{}\n{changes}", summary.stdout);
    }
    assert_eq!(summary.stdout.lines().count(), domains.len(), "{}", summary.stdout);
    let as_json = json(&host, &["rebuild", "--dry-run", "--summary", "--json"]);
    assert_eq!(
        (as_json["version"].as_u64(), as_json["domains"].as_array().unwrap().len()),
        (Some(1), domains.len()),
        "{as_json}"
    );
    let as_json = json(&host, &["rebuild", "--dry-run", "--json"]);
    assert_eq!(as_json["changes"].as_array().unwrap().len(), changes.lines().count(), "{as_json}");
    let answer = host.run(&["rebuild", "--summary"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (100, ""), "only with --dry-run: {answer:?}");
}

#[test]
fn a_person_who_looks_an_address_up_is_told_when_qmail_smtpd_never_asks_the_table() {
    let host = MailHost::sample();
    host.rebuild();
    let domains = fs::read_to_string(host.path("/var/qmail/control/rcpthosts")).unwrap();
    host.write("/var/qmail/control/rcpthosts", domains.replace("example.com\n", ""));
    host.write("/var/qmail/control/morercpthosts", "example.edu\n.example.net\n");
    let closed = "rcpthosts does not list example.com: qmail-smtpd refuses strangers' mail for it";
    let text = told(&host, &["lookup", "ann@Example.com", "ann@example.edu", "x@example.net", "ann"]);
    assert_eq!(text.matches(closed).count(), 1, "{text}");
    assert_eq!(text.matches("rcpthosts").count(), 1, "{text}");
    let pasted = told(&host, &["lookup", "<ann@example.edu>"]);
    assert!(pasted.ends_with("rcpthosts does not list \"example.edu>\"; did you mean ann@example.edu?"), "{pasted}");
    let within = told(&host, &["lookup", "'ann@example.edu", "ann @example.edu"]);
    assert_eq!(within.matches("did you mean ann@example.edu?").count(), 1, "{within}");
    // A script reads what the table says, and no more.
    let answer = host.run(&["lookup", "ann@example.com", "<ann@example.edu>"]);
    let lines = "accept\tann@example.com\tann@example.com\tmailbox\nrefuse\t<ann@example.edu>\t-\t-\n";
    assert_eq!((&answer.stdout[..], &answer.stderr[..], answer.code), (lines, "", 1));
    // Without the file every domain is let through, and a file that cannot be read says nothing.
    host.remove("/var/qmail/control/rcpthosts");
    assert!(!told(&host, &["lookup", "ann@example.com"]).contains("rcpthosts"));
    fs::create_dir(host.path("/var/qmail/control/rcpthosts")).unwrap();
    assert!(told(&host, &["lookup", "ann@example.com"]).ends_with("ann@example.com ann@example.com mailbox"));
}

#[test]
fn without_rcpthosts_a_relayed_address_is_refused_for_that_reason_and_status_is_not_well() {
    let host = MailHost::sample();
    host.remove("/var/qmail/control/rcpthosts");
    host.rebuild();
    for address in ["erik@relay.example", "x@gmail.example"] {
        let answer = explained(&host, address);
        let found = (answer["verdict"].as_str().unwrap(), answer["reason"].as_str().unwrap());
        assert_eq!(found.0, "refused", "{answer}");
        assert!(found.1.starts_with("control/rcpthosts is missing"), "{answer}");
        assert_eq!(answer["table"]["text"], "refused, no key matches: as it should be", "{answer}");
    }
    assert_eq!(explained(&host, "ann@example.com")["verdict"], "accepted");
    // A line for one address names its domain, of which the table has the other names then.
    let lines = fs::read_to_string(host.path("/var/qmail/control/virtualdomains")).unwrap();
    host.write("/var/qmail/control/virtualdomains", lines + "joe@third.test:carol\n");
    host.rebuild();
    let third = explained(&host, "other@third.test");
    assert_eq!((&third["verdict"], &third["delivery"]), (&"accepted".into(), &"remote".into()), "{third}");
    assert!(third["table"]["text"].as_str().unwrap().ends_with("as it should be"), "{third}");
    let status = told(&host, &["status"]);
    assert!(status.contains("control/rcpthosts is missing"), "{status}");
}

#[test]
fn a_fault_of_a_whole_domain_is_not_blamed_on_the_address() {
    let edited = |file: &str, from: &str, to: &str| {
        let host = MailHost::sample();
        let text = fs::read_to_string(host.path(file)).unwrap();
        assert!(text.contains(from), "{text}");
        host.write(file, text.replace(from, to));
        host.rebuild();
        host
    };
    let (assign, control) = ("/var/qmail/users/assign", "/var/qmail/control");
    let line = fs::read_to_string(MailHost::sample().path(assign)).unwrap();
    let line = line.lines().find(|line| line.starts_with("+example.net-")).unwrap().to_owned() + "\n";
    let without_file = MailHost::sample();
    without_file.remove(&format!("{COM}/.qmail-default")).rebuild();
    let domains = fs::read_to_string(without_file.path(&format!("{control}/virtualdomains"))).unwrap();
    let virtual_line = domains.lines().find(|line| line.starts_with("example.net:")).unwrap().to_owned() + "\n";
    for (host, address, fault) in [
        (edited(assign, &line, ""), "postmaster@example.net", "no name of example.net gets mail: nobody owns it"),
        (without_file, "ann@example.com", "example.com has no .qmail-default, so its mailboxes get no mail"),
        (
            edited(&format!("{control}/rcpthosts"), "example.net\n", ""),
            "postmaster@example.net",
            "but it is a domain of this host",
        ),
        (
            edited(&format!("{control}/virtualdomains"), &virtual_line, ""),
            "postmaster@example.net",
            "but users/assign has example.net as a domain of this host",
        ),
    ] {
        let text = told(&host, &["explain", address]);
        assert!(text.contains(&format!("; {fault}: tell the administrator")), "{fault}: {text}");
        assert!(!explained(&host, address)["reason"].as_str().unwrap().contains("administrator"));
        assert!(!told(&host, &["explain", "nobody@example.edu.example"]).contains("tell the administrator"));
        // The same of each mailbox, and above the table of all of them; without a line of users/assign there is none.
        let domain = &address[address.find('@').unwrap()..];
        for asked in [address, domain].iter().filter(|_| !fault.ends_with("nobody owns it")) {
            let text = told(&host, &["user", asked]);
            assert_eq!(text.matches(&format!("; {fault}: tell the administrator")).count(), 1, "{fault}: {text}");
        }
        assert!(!host.run(&["user", address, domain]).stdout.contains("administrator"), "a script reads the facts");
    }
    let host = MailHost::sample();
    host.write(&format!("{COM}/.qmail-away"), "|exit 100\n").rebuild();
    for address in [
        "away@example.com",
        "nobody@example.com",
        "bob@example.com",
        "erik@relay.example",
        "x@gmail.example",
        "no@mail.example.org",
    ] {
        let text = told(&host, &["explain", address]) + &told(&host, &["user", address]);
        assert!(!text.contains("tell the administrator"), "{text}");
    }
    assert!(!told(&host, &["user", "@example.com"]).contains("tell the administrator"));
}

#[test]
fn a_misspelled_domain_is_asked_about_on_a_terminal() {
    let host = MailHost::sample();
    host.write("/var/qmail/control/morercpthosts", "customer-of-ours.example\n.sub.example.com\nd.ex\n");
    host.rebuild();
    for (typed, meant) in [
        ("ann@exmaple.com", Some("ann@example.com")),
        ("ann@exampl.com", Some("ann@example.com")),
        ("ann@EXAMPLE.COMM", Some("ann@example.com")),
        ("Ann@eaxmpel.edu", Some("Ann@example.edu")),
        ("x@custommer-of-our.example", Some("x@customer-of-ours.example")),
        // Another domain, a short one, a subdomain.
        ("ann@gmail.example", None),
        ("ann@e.ex", None),
        ("ann@sub.exmaple.com", None),
    ] {
        for command in ["explain", "user", "lookup"] {
            let text = told(&host, &[command, typed]);
            assert!(text.contains("rcpthosts does not list "), "{command} {typed}: {text}");
            match meant {
                Some(meant) => assert!(text.contains(&format!("; did you mean {meant}?")), "{command} {typed}: {text}"),
                None => assert!(!text.contains("did you mean"), "{command} {typed}: {text}"),
            }
        }
        // A script gets the facts.
        assert!(!explained(&host, typed)["reason"].as_str().unwrap().contains("did you mean"));
        for form in [&["explain", typed][..], &["explain", "--json", typed]] {
            let answer = host.run(form);
            let asked = meant.map(|meant| format!("status: {typed}: did you mean {meant}?\n"));
            assert!(!answer.stdout.contains("did you mean"), "{answer:?}");
            assert_eq!(answer.stderr.contains("did you mean"), asked.is_some(), "{answer:?}");
            assert!(asked.is_none_or(|asked| answer.stderr.ends_with(&asked)), "{answer:?}");
        }
    }
    // Of two that are as near, the first by name; a line that is no domain costs nothing.
    let long = "x".repeat(100_000);
    host.write("/var/qmail/control/rcpthosts", format!("examplf.com\nexampld.com\n{long}\n"));
    assert!(told(&host, &["explain", "ann@examplz.com"]).contains("; did you mean ann@exampld.com?"));
    assert!(!told(&host, &["explain", &format!("ann@{long}y")]).contains("did you mean"));
}

#[test]
fn a_misspelled_name_of_a_mailbox_is_asked_about_on_a_terminal() {
    let host = MailHost::sample();
    host.write(&format!("{COM}/.qmail-carlo"), "|exit 100\n").rebuild();
    for (typed, meant) in [
        ("crala@example.com", Some("carla@example.com")),
        ("Carl.a@example.edu", Some("carla@example.edu")),
        // Too short to tell, far, no mailbox's domain; and a mailbox whose mail is switched off.
        ("anm@example.com", None),
        ("nosuchname@example.com", None),
        ("carll@mail.example.org", None),
        ("bob@example.com", None),
        // Refused on purpose.
        ("carlo@example.com", None),
    ] {
        for command in ["explain", "user"] {
            let text = told(&host, &[command, typed]);
            match meant {
                Some(meant) => assert!(text.contains(&format!("; did you mean {meant}?")), "{command} {typed}: {text}"),
                None => assert!(!text.contains("did you mean"), "{command} {typed}: {text}"),
            }
        }
        assert!(!explained(&host, typed)["reason"].as_str().unwrap().contains("did you mean"));
        assert_eq!(host.run(&["explain", typed]).stderr.contains("did you mean"), meant.is_some(), "{typed}");
    }
}

#[test]
fn a_misspelled_name_of_a_domain_is_asked_about() {
    let host = MailHost::sample();
    host.rebuild();
    for (command, sign) in [(&["user"][..], "@"), (&["domains"], ""), (&["rebuild", "--force"], "")] {
        let told = |domain: &str| host.run(&[command, &[&format!("{sign}{domain}")[..]]].concat()).stderr;
        let (near, far) = (told("EXMAPLE.com"), told("mail.example"));
        assert_eq!(near.matches("; did you mean example.com?").count(), 1, "{command:?}: {near}");
        assert!(far.contains("mail.example") && !far.contains("did you mean"), "{command:?}: {far}");
    }
    // A domain of this host is no misspelling, and its name without the @ is no mailbox.
    let local = host.run(&["user", "@mail.example.org"]).stderr;
    assert!(local.contains("no vpopmail domain") && !local.contains("did you mean"), "{local}");
    for arguments in [&["user", "Example.com"][..], &["--color", "always", "user", "Example.com"]] {
        let bare = host.run(arguments);
        let (answer, shown) = (format!("{}{}", bare.stdout, bare.stderr), "; did you mean @example.com?");
        assert_eq!(answer.split_whitespace().collect::<Vec<_>>().join(" ").matches(shown).count(), 1, "{answer}");
    }
    let bare = host.run(&["user", "ann", "mail.example.org"]).stderr;
    assert!(!bare.contains("did you mean"), "{bare}");
    // An address without a domain is shown as one.
    let steps = host.run(&["explain", "ann@"]).stdout;
    assert!(
        steps.contains(": \"\" is neither in locals nor here") && steps.contains(": \"\" is not listed"),
        "{steps}"
    );
}

#[test]
fn a_wrong_line_about_a_program_delays_no_mail() {
    let host = MailHost::sample();
    host.rebuild();
    host.write("/var/qmail/control/validrcptto.programs", "/usr/local/bin/ezmlm/ezmlm-manage mailboxe\n");
    let address = "list-x@example.com";
    let reason = explained(&host, address)["reason"].as_str().unwrap().to_owned();
    assert_eq!(reason, "as published before, until the line of validrcptto.programs is corrected");
    let told = told(&host, &["explain", address]);
    assert!(told.contains("not known: the program decides") && !told.contains("keeps the message"), "{told}");
    host.write(&format!("{COM}/.qmail-sales"), format!("&{address}\n"));
    let forwarded = self::told(&host, &["explain", "sales@example.com"]);
    assert!(forwarded.contains(&format!("forwards to {address} also reached by")), "{forwarded}");
}

#[test]
fn a_person_is_told_of_a_forward_that_is_mistyped_or_whose_mail_waits() {
    let host = MailHost::sample();
    host.rebuild();
    let of = |content: &str| {
        host.write(&format!("{COM}/.qmail-sales"), content);
        told(&host, &["explain", "sales@example.com"])
    };
    // qmail takes the semicolon for a part of the domain.
    let wrong = of("&carla@example.com\n&ann@example.com;\n");
    assert!(wrong.contains("forwards to carla@example.com, (line 2 of .qmail-sales is no address)"), "{wrong}");
    let near = of("&ann@exmaple.com\n");
    assert!(near.contains("ann@exmaple.com (did you mean ann@example.com?)"), "{near}");
    // Of a mailbox whose mail a file takes, user says the same.
    host.write(&format!("{COM}/.qmail-bob"), "&ann@exmaple.com\n&ann@example.com;\n");
    let taken = told(&host, &["user", "bob@example.com"]);
    let forwards = "forwards to ann@exmaple.com (did you mean ann@example.com?), (line 2 of .qmail-bob is no address)";
    assert!(taken.contains(forwards), "{taken}");
    host.remove(&format!("{COM}/.qmail-bob"));
    // Another host's domain is like none here.
    let sound = of("&o'neil+x@elsewhere.test\n");
    assert!(sound.contains("forwards to o'neil+x@elsewhere.test also reached by"), "{sound}");
    host.write("/home/vpopmail/domains/example.net/.qmail-wait", "&ann@example.com\n");
    host.mode(COM, 0o777);
    let waiting = told(&host, &["explain", "wait@example.net"]);
    assert!(waiting.contains("forwards to ann@example.com (waits)"), "{waiting}");
    // What bounces counts more than what waits, whatever comes first.
    host.write("/home/vpopmail/domains/example.net/.qmail-hop", "&ann@example.com\n&nobody@mail.example.org\n");
    host.write("/home/vpopmail/domains/example.net/.qmail-start", "&hop@example.net\n");
    let both = told(&host, &["explain", "start@example.net"]);
    assert!(both.contains("hop@example.net (forwards to nobody@mail.example.org, which bounces)"), "{both}");
    // vpopmail is never asked where qmail-local may not enter the directory.
    host.mode(COM, 0o000);
    let closed = told(&host, &["explain", "wait@example.net"]);
    assert!(closed.contains("forwards to ann@example.com (waits)"), "{closed}");
    let itself = told(&host, &["explain", "ann@example.com"]);
    assert!(itself.contains("delivery deferred: qmail keeps the message and tries again"), "{itself}");
    host.mode(COM, 0o755);
    host.remove(&format!("{COM}/vpasswd"));
    let kept = told(&host, &["explain", "wait@example.net"]);
    assert!(kept.contains("forwards to ann@example.com (waits or bounces)"), "{kept}");
    let itself = told(&host, &["explain", "ann@example.com"]);
    assert!(itself.contains("delivery not known: qmail keeps the message, or vpopmail returns it"), "{itself}");
}

#[test]
fn a_forward_to_a_mailbox_that_forwards_back_is_not_called_dead() {
    let host = MailHost::sample();
    for (name, other) in [("ann", "carla"), ("carla", "ann")] {
        host.write(&format!("{COM}/.qmail-{name}"), format!("{COM}/{name}/Maildir/\n&{other}@example.com\n"));
    }
    host.rebuild();
    let said = told(&host, &["explain", "sales@example.com"]);
    assert!(
        said.contains("ann@example.com (leads in a circle: qmail bounces what loops), but also delivered"),
        "{said}"
    );
    assert!(!said.contains("no address that it forwards to takes the mail"), "{said}");
    // One of two forwards further on takes it.
    host.write(&format!("{COM}/.qmail-hop"), "&postmaster@example.com\n&nobody@example.com\n");
    host.write(&format!("{COM}/.qmail-sales"), "&hop@example.com\n");
    let said = told(&host, &["explain", "sales@example.com"]);
    assert!(
        said.contains("hop@example.com (forwards to nobody@example.com, which bounces), but also delivered"),
        "{said}"
    );
    assert!(!said.contains("no address that it forwards to takes the mail"), "{said}");
}

#[test]
fn what_an_editor_of_another_system_adds_to_a_forward_is_named() {
    let host = MailHost::sample();
    host.write(&format!("{COM}/.qmail-cr"), "&ann@example.com\r\n");
    host.write(&format!("{COM}/.qmail-bom"), "\u{feff}&ann@example.com\n");
    host.rebuild();
    let found = host.run(&["check"]).stdout;
    for (name, why) in [("cr", "ends in CR"), ("bom", "begins with a byte order mark")] {
        let said = told(&host, &["explain", &format!("{name}@example.com")]);
        assert!(
            said.contains(&format!("(line 1 of .qmail-{name} {why}, which becomes a part of the address)")),
            "{said}"
        );
        let line = found.lines().find(|line| line.contains(&format!("/.qmail-{name}: line 1: "))).unwrap_or_default();
        assert!(line.contains(why) && line.ends_with("\tforward-mistyped"), "{found}");
    }
}

#[test]
fn mail_that_the_catch_all_delete_takes_is_thrown_away_and_does_not_come_back() {
    let host = MailHost::sample();
    host.rebuild();
    let file = "/home/vpopmail/domains/example.net/.qmail-default";
    host.write(file, "| /home/vpopmail/bin/vdelivermail '' delete\n");
    let said = told(&host, &["explain", "zz@example.net"]);
    assert!(said.contains("delivery thrown away now") && !said.contains("bounces now"), "{said}");
    let said = told(&host, &["user", "zz@example.net"]);
    assert!(said.contains("its mail is accepted, but is thrown away now"), "{said}");
}

#[test]
fn nobody_logs_in_by_a_damaged_table() {
    let host = MailHost::sample();
    host.rebuild();
    let image = fs::read(host.published("auth.cdb")).unwrap();
    fs::write(host.published("auth.cdb"), &image[..100]).unwrap();
    let said = told(&host, &["user", "ann@example.com"]);
    assert!(said.contains("; it may not log in") && said.contains("qmail-updater rebuild makes it again"), "{said}");
}

/// Compiles users/assign as qmail-newu does.
fn compile_assign(host: &MailHost) {
    let compiler = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/qmail-newu.pl");
    let mut perl = Command::new("perl");
    let done = perl.arg(compiler).current_dir(host.path("/var/qmail")).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn a_line_of_users_assign_that_went_is_no_loss_before_it_is_compiled() {
    let host = MailHost::sample();
    compile_assign(&host);
    host.rebuild();
    let before = fs::read_to_string(host.path("/var/qmail/users/assign")).unwrap();
    let gone: String =
        before.lines().filter(|line| !line.contains("example.net")).map(|line| format!("{line}\n")).collect();
    host.write("/var/qmail/users/assign", gone);
    host.rebuild();
    let address = "bob@example.net";
    let (entry, advice) =
        ("still has the entry +example.net-", "put back a line that went by mistake, or run qmail-newu");
    for command in [["explain", address], ["user", address]] {
        let said = told(&host, &command);
        assert!(said.contains(entry) && !said.contains("nobody owns it"), "{said}");
        assert!(!said.contains("as it should be"), "{said}");
    }
    let domains = told(&host, &["domains"]);
    assert!(domains.contains(entry) && !domains.contains("no mail arrives"), "{domains}");
    let check = host.run(&["check"]).stdout;
    assert!(check.contains("+example.net-") && check.contains(advice), "{check}");
    // What follows from the lost line is no finding of its own: its fix would make the loss worse.
    assert!(!check.contains("domain-nobody") && !check.contains("@example.net, to which this host"), "{check}");
    host.write(&format!("{COM}/.qmail-sales"), "&bob@example.net\n");
    let said = told(&host, &["explain", "sales@example.com"]);
    assert!(said.contains("forwards to bob@example.net ") && !said.contains("bounces"), "{said}");
    let status = told(&host, &["status"]);
    assert!(status.contains("; qmail may take mail that the tables refuse") && status.contains(advice), "{status}");
    // Compiled, the loss is one.
    compile_assign(&host);
    let said = told(&host, &["explain", address]);
    assert!(said.contains("no name of example.net gets mail: nobody owns it"), "{said}");
    let status = told(&host, &["status"]);
    assert!(!status.contains("the tables refuse"), "{status}");
}

#[test]
fn a_domain_that_is_not_compiled_yet_gets_no_mail_and_its_answers_say_so() {
    let host = MailHost::sample();
    compile_assign(&host);
    let add = |file: &str, line: &str| {
        let before = fs::read_to_string(host.path(file)).unwrap();
        let lines = before.strip_suffix(".\n");
        host.write(file, lines.map_or_else(|| before.clone() + line, |lines| format!("{lines}{line}.\n")));
    };
    add("/var/qmail/users/assign", "+new.example-:new.example:89:89:/home/vpopmail/domains/example.net:-::\n");
    add("/var/qmail/control/virtualdomains", "new.example:new.example\n");
    let listed = fs::read_to_string(host.path("/var/qmail/control/rcpthosts")).unwrap();
    add("/var/qmail/control/rcpthosts", "new.example\n");
    host.rebuild();
    let commands: [&[&str]; 3] = [&["explain", "bob@new.example"], &["user", "bob@new.example"], &["domains"]];
    const LACKS: &str = "lacks the entry";
    for command in commands {
        let said = told(&host, command);
        assert!(said.contains(&format!("{LACKS} +new.example- until qmail-newu runs")), "{said}");
        assert_eq!(said.matches(LACKS).count(), 1, "of the new domain alone: {said}");
    }
    let said = told(&host, commands[1]);
    assert!(said.contains("its mail is accepted: the catch-all"), "bob is no mailbox: {said}");
    let said = told(&host, &["user", "dora@new.example"]);
    assert!(said.contains(" no mail arrives; "), "{said}");
    let said = told(&host, &["domains"]);
    assert!(said.contains("NO MAIL") && said.contains("1 where no mail arrives"), "{said}");
    let says = |said: &str| said.contains("qmail may not take mail that the tables accept");
    assert!(says(&told(&host, &["status"])));
    compile_assign(&host);
    assert!(!says(&told(&host, &["status"])));
    for command in commands {
        let said = told(&host, command);
        assert!(!said.contains(LACKS), "{said}");
    }
    // The same of control/morercpthosts.
    host.write("/var/qmail/control/rcpthosts", listed).write("/var/qmail/control/morercpthosts", "new.example\n");
    let compiled = |name: &str| {
        let image = qmail_updater::cdb::image([(name.as_bytes(), &b""[..])]).unwrap();
        host.write("/var/qmail/control/morercpthosts.cdb", image);
    };
    compiled("other.example");
    host.rebuild();
    for command in commands {
        let said = told(&host, command);
        assert!(said.contains(&format!("{LACKS} new.example until qmail-newmrh runs")), "{said}");
    }
    compiled("new.example");
    let said = told(&host, commands[0]);
    assert!(!said.contains(LACKS), "{said}");
}

#[test]
fn a_line_of_morercpthosts_that_went_is_no_loss_before_it_is_compiled() {
    let host = MailHost::sample();
    let listed = fs::read_to_string(host.path("/var/qmail/control/rcpthosts")).unwrap();
    let rest: String = listed.lines().filter(|line| *line != "example.net").map(|line| format!("{line}\n")).collect();
    host.write("/var/qmail/control/rcpthosts", rest);
    host.write("/var/qmail/control/morercpthosts", "other.example\n");
    let compiled = ["example.net", "other.example"].map(|name| (name.as_bytes(), &b""[..]));
    host.write("/var/qmail/control/morercpthosts.cdb", qmail_updater::cdb::image(compiled).unwrap());
    host.rebuild();
    let said = told(&host, &["explain", "bob@example.net"]);
    assert!(said.contains("morercpthosts.cdb, which still has the entry example.net"), "{said}");
    let status = told(&host, &["status"]);
    assert!(status.contains("whose entry example.net the new one lacks or changes"), "{status}");
}

#[test]
fn a_mailbox_whose_own_file_delivers_into_it_gets_its_mail() {
    let host = MailHost::sample();
    host.rebuild();
    let directory = told(&host, &["user", "ann@example.com"]);
    let (_, rest) = directory.split_once(" directory ").unwrap();
    let (own, _) = rest.split_once(' ').unwrap();
    host.write(&format!("{COM}/.qmail-ann"), format!("{own}/Maildir/\n"));
    let said = told(&host, &["user", "ann@example.com"]);
    assert!(said.contains("its mail arrives, by a .qmail file"), "{said}");
    host.write(&format!("{COM}/.qmail-carla"), "&carla@example.com\n");
    // Of ann and the postmaster; bob is locked, and carla's mail goes in a circle.
    let all = told(&host, &["user", "@example.com"]);
    assert!(
        all.contains("4 mailboxes: mail arrives in 2, ") && all.contains("carla@example.com \u{1b}[1m\u{1b}[31mbounce"),
        "{all}"
    );
    host.remove(&format!("{COM}/.qmail-carla"));
    // Under the names of both domains, which share it.
    let reached = told(&host, &["explain", "ann@example.com"]);
    assert_eq!(reached.matches("ann@example.edu").count(), 1, "{reached}");
    host.write(&format!("{COM}/.qmail-ann"), "/var/mail/other\n");
    let said = told(&host, &["user", "ann@example.com"]);
    assert!(said.contains("something else takes its mail"), "{said}");
}

/// The file of the names of example.com that nobody lists.
const DEFAULT: &str = "/home/vpopmail/domains/example.com/.qmail-default";

#[test]
fn a_domain_whose_mailboxes_get_no_mail_is_not_ok_and_the_reason_stands_above_its_mailboxes() {
    let vdelivermail = "| /home/vpopmail/bin/vdelivermail ''";
    for (content, state, mail, reason) in [
        ("# off\n", "ELSEWHERE", "elsewhere", "nothing to do"),
        ("./Maildir/\n", "ELSEWHERE", "elsewhere", "mailbox or maildir"),
        ("&x@elsewhere.example\n", "ELSEWHERE", "elsewhere", "forwards"),
        (vdelivermail, "WAITS", "defer", "without exactly two arguments"),
        ("|exit 100\n", "NO MAIL", "bounce", "exit 100"),
    ] {
        let host = MailHost::sample();
        let usual = told(&host, &["domains", "example.com"]);
        assert!(!usual.contains("ELSEWHERE") && !usual.contains("NO MAIL"), "{usual}");
        host.write(DEFAULT, content);
        host.rebuild();
        let said = told(&host, &["domains", "example.com"]);
        assert!(said.contains(state) && !said.contains("1 ok"), "{content}: {said}");
        let said = told(&host, &["user", "@example.com"]);
        assert!(said.contains("mail arrives in 0") && said.contains(mail), "{content}: {said}");
        assert!(said.contains(reason) && said.contains("tell the administrator"), "{content}: {said}");
    }
}

#[test]
fn an_alias_domain_that_virtualdomains_names_has_the_mailboxes_of_the_real_one() {
    let host = MailHost::sample();
    let file = "/var/qmail/control/virtualdomains";
    let before = fs::read_to_string(host.path(file)).unwrap();
    host.write(file, before.replace("example.edu:example.edu", "example.edu:example.com"));
    host.rebuild();
    let said = told(&host, &["user", "ann@example.edu"]);
    assert!(said.contains("its mail arrives"), "{said}");
    let said = told(&host, &["domains", "example.edu"]);
    assert!(!said.contains("get no mail"), "{said}");
}

#[test]
fn a_domain_of_vpopmail_in_locals_is_the_fault_and_not_the_name() {
    let host = MailHost::sample();
    host.write("/var/qmail/control/locals", "mail.example.org\nexample.com\n");
    host.rebuild();
    let said = told(&host, &["explain", "ann@example.com"]);
    assert!(said.contains("control/locals names it, too: tell the administrator"), "{said}");
    let said = told(&host, &["domains", "example.com"]);
    assert!(said.contains("get no mail by control/locals"), "{said}");
}

#[test]
fn a_name_that_only_an_entry_for_many_names_accepts_is_no_sign_of_an_old_table() {
    let host = MailHost::sample();
    let accepted = fs::read_to_string(host.path("/var/qmail/control/rcpthosts")).unwrap();
    host.write("/var/qmail/control/rcpthosts", accepted + ".sub.example\n");
    host.rebuild();
    for (address, reason) in [
        ("a,b@example.net", "an entry for many names accepts it, too"),
        ("x@y.sub.example", "only by a line that begins with a dot"),
    ] {
        let said = told(&host, &["explain", address]);
        assert!(said.contains(reason) && !said.contains("is out of date"), "{said}");
    }
    // One that is older is one.
    host.write("/home/vpopmail/domains/example.net/.qmail-default", "|exit 100\n");
    let said = told(&host, &["explain", "a,b@example.net"]);
    assert!(said.contains("is out of date"), "{said}");
}

#[test]
fn mail_that_no_line_of_its_file_delivers_is_thrown_away() {
    let host = MailHost::sample();
    for (name, content, is_dropped) in [
        ("a", "# nothing\n", true),
        ("b", "|exit 0\n", true),
        ("c", "|exit 99\n", true),
        ("d", "/usr/local/mail/d/\n|exit 99\n", false),
        ("e", "&ann@example.com\n", false),
        ("f", "|/usr/local/bin/some-program\n|exit 99\n", false),
    ] {
        host.write(&format!("{COM}/.qmail-{name}"), content);
        host.rebuild();
        let address = format!("{name}@example.com");
        let said = told(&host, &["explain", &address]);
        assert_eq!(said.contains("delivery thrown away: "), is_dropped, "{said}");
        let said = told(&host, &["user", &address]);
        assert_eq!(said.contains("its mail is accepted, but is thrown away"), is_dropped, "{said}");
    }
}

#[test]
fn a_mailbox_with_a_capital_letter_is_named_to_who_asks_for_it_in_lower_case() {
    let host = MailHost::sample();
    let file = format!("{COM}/vpasswd");
    let before = fs::read_to_string(host.path(&file)).unwrap();
    host.write(&file, before.replacen("ann:", "Ann:", 1));
    host.rebuild();
    for command in ["explain", "user"] {
        let said = told(&host, &[command, "ann@example.com"]);
        assert!(said.contains("there is a mailbox Ann, which vpopmail never finds"), "{said}");
    }
}

#[test]
fn without_users_cdb_qmail_takes_no_mail_of_a_virtual_domain_where_qmail_newu_is_there() {
    let host = MailHost::sample();
    host.rebuild();
    let says = |said: &str| said.contains("lacks the entry +example.net-");
    // A copy of the files of a host has neither.
    assert!(!says(&told(&host, &["explain", "dora@example.net"])));
    host.write("/var/qmail/bin/qmail-newu", "#!/bin/sh\n");
    for command in [["explain", "dora@example.net"], ["user", "dora@example.net"], ["domains", "example.net"]] {
        let said = told(&host, &command);
        assert!(says(&said), "{said}");
    }
    let said = told(&host, &["status"]);
    assert!(said.contains("qmail may not take mail that the tables accept"), "{said}");
}

#[test]
fn a_domain_that_only_morercpthosts_names_is_refused_before_it_is_compiled() {
    let host = MailHost::sample();
    let listed = fs::read_to_string(host.path("/var/qmail/control/rcpthosts")).unwrap();
    let rest: String = listed.lines().filter(|line| *line != "example.net").map(|line| format!("{line}\n")).collect();
    host.write("/var/qmail/control/rcpthosts", rest).write("/var/qmail/control/morercpthosts", "example.net\n");
    host.rebuild();
    assert_eq!(host.run(&["explain", "dora@example.net"]).code, 1);
    let said = told(&host, &["explain", "dora@example.net"]);
    assert!(said.contains("REFUSED") && said.contains("until qmail-newmrh runs"), "{said}");
    let image = qmail_updater::cdb::image([(&b"example.net"[..], &b""[..])]).unwrap();
    host.write("/var/qmail/control/morercpthosts.cdb", image);
    assert_eq!(host.run(&["explain", "dora@example.net"]).code, 0);
}

#[test]
fn a_path_without_its_slash_is_no_maildir_and_one_that_ends_in_cr_is_another_one() {
    let maildir = "/home/vpopmail/domains/example.com/carla/Maildir";
    for (end, is_own) in [("/\n", true), ("\n", false), ("/\r\n", false)] {
        let host = MailHost::sample();
        host.write(&format!("{COM}/.qmail-carla"), format!("{maildir}{end}"));
        host.rebuild();
        let said = told(&host, &["user", "carla@example.com"]);
        assert_eq!(said.contains("its mail arrives, by a .qmail file"), is_own, "{end:?}: {said}");
        let said = told(&host, &["explain", "carla@example.com"]);
        assert_eq!(said.contains("\\x0d"), end.contains('\r'), "{said}");
    }
}

#[test]
fn a_program_that_decides_is_no_other_place_for_the_mail() {
    let host = MailHost::sample();
    host.write(DEFAULT, "|/usr/local/bin/some-program\n");
    host.rebuild();
    let said = told(&host, &["user", "@example.com"]);
    assert!(said.contains("unknown") && !said.contains("elsewhere"), "{said}");
    let said = told(&host, &["user", "ann@example.com"]);
    assert!(said.contains("a program decides whether mail arrives"), "{said}");
}

#[test]
fn what_the_table_cannot_say_is_no_change_that_a_rebuild_makes() {
    let host = MailHost::sample();
    let listed = fs::read_to_string(host.path("/var/qmail/control/rcpthosts")).unwrap();
    host.write("/var/qmail/control/rcpthosts", listed + ".sub.example\n");
    host.rebuild();
    for address in ["@example.net", "x@a.sub.example", "a,b@example.net"] {
        let said = told(&host, &["explain", address]);
        assert!(said.contains("the table cannot say it more exactly") && !said.contains("rebuild"), "{said}");
    }
    let said = told(&host, &["explain", "@example.net"]);
    assert!(said.contains("delivery thrown away: ") && !said.contains("bounces now"), "{said}");
    let said = told(&host, &["domains", ".sub.example"]);
    assert!(said.contains("refuse") && !said.contains("accept "), "{said}");
}
