//! What each command prints with --json is as docs/reference/schema says, on the sample host and on hosts where something is
//! wrong. The schemas are strict: each member that is printed is required in them, and has a type.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;

use serde_json::{Value, json};
use support::service::{COM, PATIENCE, Service, pause, status_of};
use support::{Answer, MailHost, is_root, lose_much, skip};

const NET: &str = "/home/vpopmail/domains/example.net";

/// The commands that answer in JSON, with the schema of each.
const COMMANDS: [(&str, &[&str]); 12] = [
    ("status", &["status"]),
    ("check", &["check"]),
    ("check", &["check", "--all"]),
    (
        "explain",
        &["explain", "ann@example.com", "list@example.com", "u7@example.net", "zz@elsewhere.example", "\u{1b}", ""],
    ),
    ("lookup", &["lookup", "ann@example.com", "x@example.net", "nobody@example.com", "\u{1b}@example.com"]),
    ("user", &["user", "@example.com", "@example.net", "list@example.com"]),
    ("domains", &["domains"]),
    ("domains", &["domains", "example.com", "none.example"]),
    ("list", &["list", "recipients"]),
    ("list", &["list", "logins"]),
    ("rebuild", &["rebuild", "--dry-run"]),
    ("rebuild", &["rebuild", "--dry-run", "--summary"]),
];

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/schema"))
}

/// The schemas by their names.
fn schemas() -> BTreeMap<String, (Value, jsonschema::Validator)> {
    let files = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let schema = |path: std::path::PathBuf| {
        let schema: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), (schema, validator))
    };
    files.map(schema).collect()
}

/// The value with another type at one place, or without one member, for each place of it. Of a list its first element
/// stands for all, and what a setting may be is open.
fn broken(whole: &Value, place: &str, found: &mut Vec<(String, Value)>) {
    let value = whole.pointer(place).unwrap();
    let inside: Vec<String> = match value {
        Value::Object(members) => members.keys().map(|name| format!("{place}/{name}")).collect(),
        Value::Array(items) if !items.is_empty() => vec![format!("{place}/0")],
        _ => Vec::new(),
    };
    for inside in inside.iter().filter(|inside| !inside.starts_with("/settings/")) {
        let mut other = whole.clone();
        let at = other.pointer_mut(inside).unwrap();
        *at = if at.is_object() { json!("another type") } else { json!({ "another": "type" }) };
        found.push((format!("another type at {inside}"), other));
        if value.is_object() {
            let mut without = whole.clone();
            let name = inside.rsplit('/').next().unwrap();
            without.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(name);
            found.push((format!("nothing at {inside}"), without));
        }
        broken(whole, inside, found);
    }
}

/// The answer of a command is as its schema says, and no answer that lacks a member of it, or has another type there, is.
fn hold(schemas: &BTreeMap<String, (Value, jsonschema::Validator)>, name: &str, answer: &Answer, host: &str) -> Value {
    let value: Value =
        serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{host}: {name}: {error}: {answer:?}"));
    let (_, schema) = &schemas[name];
    let wrong: Vec<String> =
        schema.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{host}: {name}: {wrong:#?}\n{value:#}");
    let mut others = Vec::new();
    broken(&value, "", &mut others);
    let taken: Vec<String> =
        others.into_iter().filter(|(_, other)| schema.is_valid(other)).map(|(what, _)| what).collect();
    assert!(taken.is_empty(), "{host}: docs/reference/schema/{name}.json takes {taken:#?}");
    // New members may come.
    if value.is_object() {
        let mut more = value.clone();
        more["new"] = json!(true);
        assert!(schema.is_valid(&more), "{host}: {name}: a new member");
    }
    value
}

fn hold_all(host: &MailHost, what: &str) {
    let schemas = schemas();
    for (name, arguments) in COMMANDS {
        let answer = host.run(&[arguments, &["--json"]].concat());
        // A command that can find nothing out answers nothing.
        if answer.stdout.is_empty() {
            assert!([100, 111].contains(&answer.code), "{what}: {name}: {answer:?}");
            continue;
        }
        hold(&schemas, name, &answer, what);
    }
}

/// Makes a domain lose so much that the loss guard holds it.
fn hold_back(host: &MailHost) {
    lose_much(host, NET);
    host.run(&["rebuild"]);
}

#[test]
fn answers_of_usual_and_of_awkward_hosts_are_as_their_schemas_say() {
    let host = MailHost::sample();
    hold_all(&host, "nothing is published");
    host.rebuild();
    hold_all(&host, "the sample host");
    host.write(&format!("{COM}/.qmail-new"), "&ann@example.com\n")
        .write("/var/qmail/control/validrcptto.d/relay.example", "x\n");
    hold_all(&host, "a rebuild would change something");
    host.write(&format!("{COM}/.qmail-default"), "|/usr/local/bin/unknown-filter\n");
    host.write("/etc/qmail-updater/accepted", "domain-open example.com\nnonsense\n");
    hold_all(&host, "an open domain, and a list of accepted findings");
    hold_back(&host);
    assert!(host.run(&["domains", "--json", "--held"]).stdout.contains("\"held\""));
    hold_all(&host, "a held domain");
    fs::rename(host.path(COM), host.path("/home/vpopmail/domains/away")).unwrap();
    hold_all(&host, "a directory is missing");
    host.write("/var/qmail/control/validrcptto.cdb", "no cdb").write("/var/qmail/control/auth.cdb", "");
    host.mailboxes(
        NET,
        &["odd:x", "Upper:$6$a$b:1:0::/d:Q", "\u{1b}:$6$a$b:1:0:\u{1b}:/d:Q", "eva:$6$a$b:1:0:Eva:/d:Q"],
    );
    hold_all(&host, "damaged tables, odd names and records");
    host.write("/var/qmail/users/assign", "no line\n");
    hold_all(&host, "nothing can be rebuilt");
    hold_all(&MailHost::empty(), "an empty host");
}

#[test]
fn the_answers_of_an_ordinary_user_are_as_their_schemas_say() {
    if !is_root() {
        return skip("answers of an ordinary user", "only root can become one");
    }
    let host = MailHost::sample();
    host.mode("/home/vpopmail/domains/example.com", 0o700);
    host.rebuild();
    let schemas = schemas();
    for (name, arguments) in COMMANDS {
        let mut command = host.command(&[arguments, &["--json"]].concat());
        let answer: Answer = command.uid(65_534).gid(65_534).output().unwrap().into();
        if !answer.stdout.is_empty() {
            hold(&schemas, name, &answer, "an ordinary user");
        }
    }
}

#[test]
fn the_status_of_a_service_is_as_its_schema_says() {
    let host = MailHost::sample();
    support::script(&host, "/after", "echo wrong; exit 1");
    hold_back(&host);
    let service = Service::start(host, &["--no-watch", "--after", "/after"]);
    let host = &service.host;
    let begun = std::time::Instant::now();
    fs::rename(host.path(COM), host.path("/home/vpopmail/domains/away")).unwrap();
    host.write(&format!("{NET}/.qmail-other"), "&x@far.example\n");
    service.trigger(&[]);
    while status_of(host)["commands_error"].is_null() || status_of(host)["held"].as_array().is_none_or(Vec::is_empty) {
        assert!(begun.elapsed() < PATIENCE, "{:#}", status_of(host));
        pause();
    }
    // The service goes on meanwhile: the file and the answer are those of one moment.
    let (file, answer) = loop {
        let before = status_of(host);
        let answer = host.run(&["status", "--json"]);
        if status_of(host) == before {
            break (before, answer);
        }
        assert!(begun.elapsed() < PATIENCE, "{before:#}");
    };
    let value = hold(&schemas(), "status", &answer, "a service with troubles");
    assert_eq!((answer.code, &value["alive"]), (1, &json!(true)), "{value:#}");
    let why: Vec<&str> =
        value["attention"].as_array().unwrap().iter().map(|why| why["text"].as_str().unwrap()).collect();
    assert!(why.contains(&"a command after the last rebuild failed"), "{why:?}");
    // The members of the file are as they are.
    for (name, member) in file.as_object().unwrap() {
        assert_eq!(&value[name], member, "{name}");
    }
}

#[test]
fn every_schema_is_named_and_used() {
    let page = fs::read_to_string(directory().join("../json.md")).unwrap();
    for (name, (schema, _)) in schemas() {
        assert!(page.contains(&format!("(schema/{name}.json)")), "json.md does not name {name}");
        assert!(COMMANDS.iter().any(|(used, _)| *used == name), "{name} is of no command");
        assert_eq!(schema["$id"], format!("urn:qmail-updater:{name}:1"));
    }
    // Each command with --json has one.
    let help = fs::read_to_string(directory().join("../commands.md")).unwrap();
    let sections = help.split("\n## ").skip(1).filter(|section| section.contains("\n* `--json`"));
    for section in sections {
        let command = section.lines().next().unwrap();
        assert!(directory().join(format!("{command}.json")).exists(), "{command}");
    }
}
