//! The metrics file of a real service, and the example of alert rules on it.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::service::{COM, PATIENCE, Service};
use support::{Answer, MailHost, has, script, skip};

const FILE: &str = "/var/lib/node_exporter/qmail-updater.prom";
const ASSIGN: &str = "/var/qmail/users/assign";
const LAST_SUCCESS: &str = "qmail_updater_last_success_timestamp_seconds";

fn host() -> MailHost {
    let host = MailHost::sample();
    host.folder("/var/lib/node_exporter");
    host
}

/// What the file says of a sample, by its name and labels.
fn value(host: &MailHost, sample: &str) -> Option<f64> {
    let text = fs::read_to_string(host.path(FILE)).ok()?;
    text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}

/// Waits until the file says so.
#[track_caller]
fn wait_until(host: &MailHost, sample: &str, is_right: impl Fn(f64) -> bool) -> f64 {
    let start = Instant::now();
    loop {
        if let Some(value) = value(host, sample).filter(|value| is_right(*value)) {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "{sample}: {:?}", value(host, sample));
        support::service::pause();
    }
}

fn triggers(kind: &str) -> String {
    format!("qmail_updater_triggers_total{{kind=\"{kind}\"}}")
}

fn rebuilds(result: &str) -> String {
    format!("qmail_updater_rebuilds_total{{result=\"{result}\"}}")
}

/// promtool's opinion, where it is installed.
fn promtool(test: &str, arguments: &[&str], input: Stdio) {
    if !has("promtool") {
        return skip(test, "promtool (Debian: prometheus) is not installed");
    }
    let answer: Answer = Command::new("promtool").args(arguments).stdin(input).output().unwrap().into();
    assert_eq!((answer.code, &answer.stderr[..]), (0, ""), "{}", answer.stdout);
}

#[test]
fn the_metrics_say_what_the_service_did_and_the_last_success_outlives_it() {
    let host = host();
    let mailboxes = |host: &MailHost, numbers: std::ops::Range<usize>| {
        let lines: Vec<String> = numbers.map(|number| format!("user{number}:$6$a$b:1:0:N:/d:Q")).collect();
        host.mailboxes(COM, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    };
    mailboxes(&host, 0..100);
    let mut service = Service::start(host, &["--no-watch", "--metrics", FILE]);
    let host = &service.host;
    wait_until(host, "qmail_updater_up", |up| up == 1.0);
    let records = host.run(&["list", "recipients"]).stdout.lines().count();
    for (sample, count) in [
        (&rebuilds("published")[..], 1),
        (&rebuilds("failed"), 0),
        (&triggers("start"), 1),
        (&triggers("notice"), 0),
        ("qmail_updater_recipients", records),
        ("qmail_updater_logins", host.logins().len()),
        ("qmail_updater_domains_held", 0),
        ("qmail_updater_domains_kept", 0),
        ("qmail_updater_rebuild_duration_seconds_bucket{le=\"+Inf\"}", 1),
        ("qmail_updater_rebuild_duration_seconds_count", 1),
    ] {
        assert_eq!(value(host, sample), Some(count as f64), "{sample}");
    }
    assert!(value(host, "qmail_updater_rebuild_duration_seconds_sum").unwrap() > 0.0);
    // The user of node_exporter can read it, and no draft has a name that he reads.
    assert_eq!(fs::metadata(host.path(FILE)).unwrap().permissions().mode() & 0o777, 0o644);

    service.trigger(&["setdefault", "one"]);
    wait_until(host, &triggers("notice"), |notices| notices == 1.0);
    assert_eq!(value(host, &rebuilds("unchanged")), Some(1.0));
    assert_eq!(value(host, &triggers("touch")), Some(0.0));
    assert!(Command::new("touch").arg(service.fifo()).status().unwrap().success());
    wait_until(host, &triggers("touch"), |touches| touches >= 1.0);

    // It fails until the file is right again: retries.
    let assign = fs::read_to_string(host.path(ASSIGN)).unwrap();
    host.write(ASSIGN, "not a line\n");
    service.trigger(&[]);
    wait_until(host, &rebuilds("failed"), |failures| failures >= 1.0);
    let recipients = value(host, "qmail_updater_recipients");
    assert_eq!(recipients, Some(records as f64), "what is published is what was");
    wait_until(host, &triggers("retry"), |retries| retries >= 1.0);
    let before = value(host, &rebuilds("unchanged")).unwrap();
    host.write(ASSIGN, assign);
    wait_until(host, &rebuilds("unchanged"), |rebuilds| rebuilds > before);

    // A domain whose folder is away, and one that loses much.
    let net = host.path("/home/vpopmail/domains/example.net");
    fs::rename(&net, host.path("/away")).unwrap();
    service.trigger(&[]);
    wait_until(host, "qmail_updater_domains_kept", |kept| kept == 1.0);
    fs::rename(host.path("/away"), &net).unwrap();
    mailboxes(host, 60..100);
    service.trigger(&[]);
    // Its alias domain loses as much.
    wait_until(host, "qmail_updater_domains_held", |held| held == 2.0);
    assert_eq!(value(host, "qmail_updater_domains_kept"), Some(0.0));

    let test = "the_metrics_say_what_the_service_did_and_the_last_success_outlives_it";
    promtool(test, &["check", "metrics"], fs::File::open(host.path(FILE)).unwrap().into());
    assert_eq!(service.end(), 0);
    assert_eq!(value(&service.host, "qmail_updater_up"), Some(0.0));
    let last_success = value(&service.host, LAST_SUCCESS).unwrap();
    assert!(last_success <= value(&service.host, "qmail_updater_last_rebuild_timestamp_seconds").unwrap());
    assert!(last_success > 1_000_000_000.0, "Unix time");

    // A service that starts and never succeeds does not look as if it had.
    service.host.write(ASSIGN, "not a line\n");
    let (child, _log) = support::service::follow(service.host.command(&["run", "--no-watch", "--metrics", FILE]));
    service.child = child;
    wait_until(&service.host, "qmail_updater_up", |up| up == 1.0);
    assert!(value(&service.host, &rebuilds("failed")) >= Some(1.0));
    assert_eq!(value(&service.host, LAST_SUCCESS), Some(last_success));
    assert_eq!(value(&service.host, "qmail_updater_recipients"), None, "nobody has counted them");
    promtool(test, &["check", "metrics"], fs::File::open(service.host.path(FILE)).unwrap().into());
}

#[test]
fn commands_that_fail_watches_and_signals_are_counted_and_no_reader_sees_half_a_file() {
    let host = host();
    script(&host, "/bin/tell", "exit 1");
    let service = Service::start(host, &["--metrics", FILE, "--after", "/bin/tell"]);
    let host = &service.host;
    wait_until(host, "qmail_updater_commands_failing", |failing| failing == 1.0);
    let (versions, ends) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = String::new();
            while !ends.load(Ordering::Relaxed) {
                let text = fs::read_to_string(host.path(FILE)).unwrap();
                let whole = text.starts_with("# HELP qmail_updater_up ")
                    && text.lines().last().is_some_and(|line| line.starts_with("qmail_updater_domains_kept "))
                    && text.ends_with('\n');
                assert!(whole, "{text}");
                for name in fs::read_dir(host.path(FILE).parent().unwrap()).unwrap() {
                    let name = name.unwrap().file_name().into_string().unwrap();
                    assert!(FILE.ends_with(&format!("/{name}")) || !name.ends_with(".prom"), "{name}");
                }
                versions.fetch_add(usize::from(text != last), Ordering::Relaxed);
                last = text;
            }
        });
        service.add_alias("watched");
        wait_until(host, &triggers("watch"), |changes| changes >= 1.0);
        kill(Pid::from_raw(i32::try_from(service.child.id()).unwrap()), Signal::SIGHUP).unwrap();
        wait_until(host, &triggers("signal"), |signals| signals == 1.0);
        script(host, "/bin/tell", "exit 0");
        service.trigger(&[]);
        wait_until(host, "qmail_updater_commands_failing", |failing| failing == 0.0);
        assert!(value(host, "qmail_updater_commands_failed_total") >= Some(1.0));
        let start = Instant::now();
        while versions.load(Ordering::Relaxed) < 5 && !reader.is_finished() && start.elapsed() < PATIENCE {
            service.trigger(&[]);
        }
        ends.store(true, Ordering::Relaxed);
        reader.join().unwrap();
        assert!(versions.load(Ordering::Relaxed) >= 5, "it was read while it was written");
    });
}

#[test]
fn metrics_that_cannot_be_written_are_a_warning_and_no_file_of_qmails_is_taken_for_them() {
    for (file, says) in [("qmail-updater.prom", "an absolute path"), ("/var/qmail/control/me", "must end in .prom")] {
        let answer = host().run(&["run", "--metrics", file]);
        assert_eq!(answer.code, 100, "{}", answer.stderr);
        assert!(answer.stderr.contains(says), "{}", answer.stderr);
    }
    let host = MailHost::sample();
    let mut command = host.command(&["run", "--no-watch"]);
    command.env("QMAIL_UPDATER_METRICS", FILE);
    let service = Service::spawn(host, command);
    service.wait_for("warning: unable to use the directory ");
    service.add_alias("all-the-same");
    service.trigger(&[]);
    service.wait_for_answer("all-the-same@example.com", "accept");
    service.host.folder("/var/lib/node_exporter");
    service.trigger(&[]);
    wait_until(&service.host, "qmail_updater_up", |up| up == 1.0);
}

/// What each rule of the example is for, as promtool's own tests say it.
const RULE_TEST: &str = r#"
rule_files: [RULES]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - { series: 'qmail_updater_up{instance="down"}', values: '1x9 0x90' }
      - { series: 'qmail_updater_up{instance="well"}', values: '1x100' }
      - { series: 'qmail_updater_last_success_timestamp_seconds{instance="killed"}', values: '0x100' }
      - { series: 'qmail_updater_last_success_timestamp_seconds{instance="well"}', values: '0+60x100' }
      - { series: 'qmail_updater_domains_held{instance="well"}', values: '0x100' }
      - { series: 'qmail_updater_domains_held{instance="held"}', values: '0x50 1x50' }
      - { series: 'qmail_updater_domains_kept{instance="well"}', values: '0x100' }
      - { series: 'qmail_updater_domains_kept{instance="kept"}', values: '0x50 2x50' }
      - { series: 'qmail_updater_actions_failed_total{instance="well"}', values: '0x100' }
      - { series: 'qmail_updater_actions_failed_total{instance="acting"}', values: '0x50 1x50' }
      - { series: 'qmail_updater_commands_failing{instance="well"}', values: '0x100' }
      - { series: 'qmail_updater_commands_failing{instance="failing"}', values: '0x50 1x50' }
      - { series: 'qmail_updater_database_up{instance="well"}', values: '1x100' }
      - { series: 'qmail_updater_database_up{instance="silent"}', values: '1x50 0x50' }
    promql_expr_test:
      - expr: ALERTS{alertstate="firing"}
        eval_time: 40m
        exp_samples:
          - labels: 'ALERTS{alertname="QmailUpdaterDown",alertstate="firing",instance="down",severity="critical"}'
            value: 1
      - expr: count by (alertname, instance) (ALERTS{alertstate="firing"})
        eval_time: 90m
        exp_samples:
          - { labels: '{alertname="QmailUpdaterDown",instance="down"}', value: 1 }
          - { labels: '{alertname="QmailUpdaterNoSuccess",instance="killed"}', value: 1 }
          - { labels: '{alertname="QmailUpdaterDomainsHeld",instance="held"}', value: 1 }
          - { labels: '{alertname="QmailUpdaterDomainsKept",instance="kept"}', value: 1 }
          - { labels: '{alertname="QmailUpdaterActionsFailed",instance="acting"}', value: 1 }
          - { labels: '{alertname="QmailUpdaterCommandsFailing",instance="failing"}', value: 1 }
          - { labels: '{alertname="QmailUpdaterDatabaseSilent",instance="silent"}', value: 1 }
"#;

#[test]
fn each_alert_of_the_example_fires_for_what_it_is_for_and_for_metrics_that_there_are() {
    let test = "each_alert_of_the_example_fires_for_what_it_is_for_and_for_metrics_that_there_are";
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/alerts.yml");
    every_metric_exists(&fs::read_to_string(&rules).unwrap());
    promtool(test, &["check", "rules", rules.to_str().unwrap()], Stdio::null());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.yml");
    fs::write(&file, RULE_TEST.replace("RULES", rules.to_str().unwrap())).unwrap();
    promtool(test, &["test", "rules", file.to_str().unwrap()], Stdio::null());
}

/// Each metric that the text names is one that the service writes.
fn every_metric_exists(text: &str) {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/service/metrics.rs")).unwrap();
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    for name in words.filter(|word| word.starts_with("qmail_updater_")) {
        // A histogram has samples of names of their own.
        let name = name.strip_suffix("_bucket").unwrap_or(name);
        assert!(source.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are_in_words_that_prometheus_understands() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 8);
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    let (mut ids, mut fields) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its number is another's");
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title}");
        let number = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(number("x") + number("w") <= 24, "{title}: Grafana has 24 columns");
        for x in number("x")..number("x") + number("w") {
            for y in number("y")..number("y") + number("h") {
                assert!(fields.insert((x, y)), "{title} lies on another panel");
            }
        }
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            every_metric_exists(expression);
            assert!(expression.contains("{instance=~\"$instance\"}"), "{title}: of all hosts");
            // What Grafana puts there.
            let asked = expression.replace("$__rate_interval", "5m").replace("$instance", ".*");
            rules += &format!("      - {{ record: \"panel:{}\", expr: '{asked}' }}\n", panel["id"]);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    fs::write(&file, rules).unwrap();
    let test = "the_dashboard_asks_for_metrics_that_there_are_in_words_that_prometheus_understands";
    // Two targets of a panel have one name: that is no mistake here.
    promtool(test, &["check", "rules", "--lint=none", file.to_str().unwrap()], Stdio::null());
}
