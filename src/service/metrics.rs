//! The metrics file, for the textfile collector of Prometheus's node_exporter: what the service did, in the text
//! exposition format. It holds only counts and times, no name and no text of others: everybody on the host may read it.

use std::fmt::Write;
use std::time::Duration;

use crate::error::Error;
use crate::host::mailboxes::standing::Standing;
use crate::publish;
use crate::rebuild::database::standing;
use crate::rebuild::{self, Done};
use crate::settings::Settings;
use crate::text::{leading_number, lines};

/// What brings a rebuild: what the service hears of, and the causes of its own, as the log calls them.
const KINDS: [&str; 14] = [
    "notice", "touch", "pipe", "watch", "signal", "start", "followup", "retry", "sweep", "expiry", "hold", "recheck",
    "rested", "database",
];
/// How a rebuild ends.
const RESULTS: [&str; 3] = ["published", "unchanged", "failed"];
/// Up to how many milliseconds the rebuilds of each bucket took.
const BUCKETS: [u64; 5] = [10, 100, 1_000, 10_000, 60_000];
/// Read again by the next service, so that a restart is no success.
const LAST_SUCCESS: &str = "qmail_updater_last_success_timestamp_seconds";

/// What the service counts.
#[derive(Debug, Default)]
pub struct Metrics {
    triggers: [u64; KINDS.len()],
    rebuilds: [u64; RESULTS.len()],
    /// How many rebuilds took no longer than each of [`BUCKETS`].
    within: [u64; BUCKETS.len()],
    /// How long all of them took.
    took: Duration,
    commands_failed: usize,
    commands_failing: usize,
    actions_failed: usize,
    /// In seconds since 1970-01-01 UTC, 0 for never.
    last_success: u64,
    last_rebuild: Option<u64>,
    /// What the last rebuild that succeeded said of the host.
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    recipients: u64,
    logins: u64,
    held: usize,
    open: usize,
    kept: usize,
}

impl Metrics {
    /// Nothing is counted yet; the last success may be that of an earlier service.
    pub fn new(settings: &Settings) -> Metrics {
        let before = settings.metrics.as_ref().and_then(|file| settings.layout.root.read(file).ok().flatten());
        let value =
            |(_, line): (usize, &[u8])| Some(leading_number(line.strip_prefix(LAST_SUCCESS.as_bytes())?.get(1..)?));
        Metrics {
            last_success: before.and_then(|text| lines(&text).find_map(value)).unwrap_or(0),
            ..Metrics::default()
        }
    }

    /// So many triggers of this kind came. A word that is none counts nothing: the log's cause `trigger` was counted by its
    /// kind when it was heard.
    pub fn triggered(&mut self, kind: &str, count: usize) {
        let counters = KINDS.iter().zip(&mut self.triggers);
        counters.filter(|(name, _)| **name == kind).for_each(|(_, counter)| *counter += count as u64);
    }

    /// A rebuild ended.
    pub fn rebuilt(&mut self, result: &Result<Done, Error>, took: Duration) {
        let now = rebuild::now();
        let is_published = |done: &Done| done.recipients.published || done.logins.published;
        let number = result.as_ref().map_or(2, |done| usize::from(!is_published(done)));
        self.rebuilds[number] += 1;
        let buckets = BUCKETS.iter().zip(&mut self.within);
        buckets.filter(|(bound, _)| took <= Duration::from_millis(**bound)).for_each(|(_, counter)| *counter += 1);
        self.took += took;
        self.last_rebuild = Some(now);
        if let Ok(done) = result {
            self.last_success = now;
            self.last = Some(Last {
                recipients: done.recipients.records,
                logins: done.logins.records,
                held: done.held.len(),
                open: done.open_domains,
                kept: done.kept.len(),
            });
        }
    }

    /// A command that follows a rebuild ended; so many fail now.
    pub fn followed(&mut self, is_failed: bool, failing: usize) {
        self.commands_failed += usize::from(is_failed);
        self.commands_failing = failing;
    }

    /// A round of actions ended; so many of them failed.
    pub fn acted(&mut self, failed: usize) {
        self.actions_failed += failed;
    }

    /// Writes the file, mode 0644, in the place of the old one, when one is wanted. The name of its draft does not end as
    /// those that the collector reads.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, settings: &Settings, is_up: bool) -> Result<(), Error> {
        let Some(file) = &settings.metrics else { return Ok(()) };
        let text = self.text(is_up, standing(settings).as_ref());
        publish::replace(&settings.layout.root, file, 0o644, text.as_bytes())
    }

    /// The text exposition format.
    fn text(&self, is_up: bool, database: Option<&Standing>) -> String {
        let mut text = String::new();
        self.counters(&mut text, is_up);
        for (name, help, value) in self.gauges(database) {
            family(&mut text, (name, "gauge"), help, &value.map(one).unwrap_or_default());
        }
        text
    }

    /// Whether the service runs, and what it counts.
    fn counters(&self, text: &mut String, is_up: bool) {
        let up = one(is_up.into());
        family(text, ("qmail_updater_up", "gauge"), "1 while the service runs, 0 when it was ended.", &up);
        family(
            text,
            ("qmail_updater_triggers_total", "counter"),
            "What asked for a rebuild; several may have been answered by one.",
            &by("kind", &KINDS, &self.triggers),
        );
        family(
            text,
            ("qmail_updater_rebuilds_total", "counter"),
            "Rebuilds by their result.",
            &by("result", &RESULTS, &self.rebuilds),
        );
        family(
            text,
            ("qmail_updater_rebuild_duration_seconds", "histogram"),
            "How long rebuilds took.",
            &self.durations(),
        );
        family(
            text,
            ("qmail_updater_commands_failed_total", "counter"),
            "Commands that followed a rebuild and failed.",
            &one(self.commands_failed as u64),
        );
        family(
            text,
            ("qmail_updater_actions_failed_total", "counter"),
            "Actions that failed; none of them is run again.",
            &one(self.actions_failed as u64),
        );
    }

    /// The samples of how long rebuilds took.
    fn durations(&self) -> Vec<(String, String)> {
        let count = self.rebuilds.iter().sum::<u64>().to_string();
        let buckets = BUCKETS.iter().zip(&self.within);
        let mut samples: Vec<(String, String)> = buckets
            .map(|(bound, within)| {
                (format!("_bucket{{le=\"{}\"}}", Duration::from_millis(*bound).as_secs_f64()), within.to_string())
            })
            .collect();
        samples.push(("_bucket{le=\"+Inf\"}".to_owned(), count.clone()));
        samples.push(("_sum".to_owned(), self.took.as_secs_f64().to_string()));
        samples.push(("_count".to_owned(), count));
        samples
    }

    /// What is so now: name, help and value of each, which may be unknown.
    fn gauges(&self, database: Option<&Standing>) -> [(&'static str, &'static str, Option<u64>); 10] {
        let last = self.last.as_ref();
        [
            (
                "qmail_updater_commands_failing",
                "Commands that follow a rebuild and failed when they ran last.",
                Some(self.commands_failing as u64),
            ),
            (LAST_SUCCESS, "When a rebuild succeeded last, in Unix time; 0 if none did.", Some(self.last_success)),
            (
                "qmail_updater_last_rebuild_timestamp_seconds",
                "When a rebuild ended last, failed or not, in Unix time.",
                self.last_rebuild,
            ),
            (
                "qmail_updater_recipients",
                "Records in the published recipients' table.",
                last.map(|last| last.recipients),
            ),
            ("qmail_updater_logins", "Records in the published logins' table.", last.map(|last| last.logins)),
            (
                "qmail_updater_domains_held",
                "Domains that the guard holds, because they would lose much at once.",
                last.map(|last| last.held as u64),
            ),
            (
                "qmail_updater_domains_open",
                "Domains that accept every name, because a program takes it whose users are not known.",
                last.map(|last| last.open as u64),
            ),
            (
                "qmail_updater_domains_kept",
                "Domain directories and homes that cannot be read: their published entries are kept.",
                last.map(|last| last.kept as u64),
            ),
            (
                "qmail_updater_database_up",
                "1 while the user database answers, 0 when it did not answer the last time.",
                database.map(|its| its.failing.is_none().into()),
            ),
            (
                "qmail_updater_database_answer_timestamp_seconds",
                "When the user database answered last, in Unix time.",
                database.and_then(|its| its.answered),
            ),
        ]
    }
}

/// Adds a family of samples; one without a sample is left out.
fn family(text: &mut String, (name, kind): (&str, &str), help: &str, samples: &[(String, String)]) {
    if samples.is_empty() {
        return;
    }
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (suffix, value) in samples {
        let _ = writeln!(text, "{name}{suffix} {value}");
    }
}

/// One sample without a label.
fn one(value: u64) -> Vec<(String, String)> {
    vec![(String::new(), value.to_string())]
}

/// A sample for each of these names.
fn by(label: &str, names: &[&str], values: &[u64]) -> Vec<(String, String)> {
    let sample = |(name, value): (&&str, &u64)| (format!("{{{label}=\"{name}\"}}"), value.to_string());
    names.iter().zip(values).map(sample).collect()
}
