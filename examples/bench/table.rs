//! The tables that are printed, in Markdown.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use crate::contend::{CDB, CDBMAKE, FULL, OVER, PERL, READING, SAME};
use crate::make::MailHost;
use crate::measure::{Middle, ms};
use crate::trace::{PARTS, Share};
use crate::{Runs, Seen, median};

/// The machine, in a line.
pub fn machine(folder: &Path) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.split('-').next().unwrap_or_default().trim();
    let files = file_system(folder).unwrap_or_else(|| "unknown file system".to_owned());
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    format!("{cores} x {model}, Linux {release}, {files}; load {load} before the run")
}

/// What kind the file system of a folder is.
fn file_system(folder: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let above = mounts.filter(|(place, _)| folder.starts_with(place));
    // Of equal ones the last was mounted over the others.
    above.max_by_key(|(place, _)| place.len()).map(|(_, kind)| kind.to_owned())
}

/// How long things took.
pub struct Times(String);

impl Times {
    /// None so far.
    pub fn new(host: &MailHost) -> Times {
        let mut text = format!("{} domains, {} mailboxes, medians in ms:\n\n", host.domains, host.mailboxes());
        text += "| | median | least | most | processor | peak MiB |\n|---|--:|--:|--:|--:|--:|\n";
        Times(text)
    }

    fn row(&mut self, name: &str, middle: Middle, processor: &str, peak: &str) {
        let Middle { median, least, most } = middle;
        let _ = writeln!(self.0, "| {name} | {median:.1} | {least:.1} | {most:.1} | {processor} | {peak} |");
    }

    /// The runs of one contender, if there are any; `how` stands behind its name.
    pub fn runs(&mut self, runs: &Runs, name: &str, how: &str) {
        let Some(runs) = runs.get(name) else { return };
        let middle = Middle::of(runs.iter().map(|taken| ms(taken.wall)));
        let processor = Middle::of(runs.iter().map(|taken| ms(taken.user + taken.system))).median;
        self.row(&format!("{name}{how}"), middle, &format!("{processor:.1}"), &format!("{:.1}", mib(peak(runs))));
    }

    /// What was measured without its processor time.
    pub fn values(&mut self, name: &str, values: &[f64]) {
        self.row(name, Middle::of(values.iter().copied()), "", "");
    }

    /// The table.
    pub fn text(self) -> String {
        self.0
    }
}

/// How long everything took.
pub fn times(host: &MailHost, seen: &Seen) -> String {
    let mut times = Times::new(host);
    for name in [FULL, OVER, SAME, READING, CDB, CDBMAKE, PERL] {
        times.runs(&seen.runs, name, "");
    }
    for (name, values) in [
        ("service: a mailbox added, until both are published", &seen.mailbox),
        ("service: a password changed, until auth.cdb is", &seen.password),
        ("service: a notice, nothing changed", &seen.notice.0),
        ("service: a sweep, nothing changed", &seen.sweep.0),
        ("trigger", &seen.pokes.0),
        ("/bin/sh -c 'echo > pipe'", &seen.pokes.1),
    ] {
        times.values(name, values);
    }
    for name in [FULL, PERL] {
        times.runs(&seen.cold, name, ", caches dropped");
    }
    times.text()
}

/// What was seen, beside what it must be.
pub struct Bounds(String);

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds("| | seen | at most | aim | |\n|---|--:|--:|--:|---|\n".to_owned())
    }
}

impl Bounds {
    /// One ratio, or a size in a unit.
    pub fn row(&mut self, name: &str, seen: Option<f64>, limit: f64, aim: Option<f64>, unit: &str) {
        let digits = if unit.is_empty() { 3 } else { 1 };
        let (value, word) = match seen {
            None => ("-".to_owned(), "not measured"),
            Some(value) => {
                let word = match aim {
                    Some(aim) if value <= aim => "aim met",
                    _ if value <= limit => "within",
                    _ => "missed",
                };
                (format!("{value:.digits$}{unit}"), word)
            }
        };
        let aim = aim.map_or("-".to_owned(), |aim| format!("{aim}{unit}"));
        let _ = writeln!(self.0, "| {name} | {value} | {limit}{unit} | {aim} | {word} |");
    }

    /// The table.
    pub fn text(self) -> String {
        self.0
    }
}

/// So many MiB and so many bytes a mailbox, in MiB.
pub fn memory(host: &MailHost, base: f64, each: f64) -> f64 {
    ((base + each * host.mailboxes() as f64 / 1_048_576.0) * 10.0).round() / 10.0
}

/// The ratios, beside what they must be.
pub fn must_show(host: &MailHost, seen: &Seen) -> String {
    let mut bounds = Bounds::default();
    let mut row = |name: &str, seen, limit, aim, unit: &str| bounds.row(name, seen, limit, aim, unit);
    let full = median(&seen.runs, FULL);
    let ratio = |above: Option<f64>, below: Option<f64>| above.zip(below).map(|(above, below)| above / below);
    let of_full = |values: &[f64]| ratio(middle(values), full);
    row("full rebuild, fsync included / cdb -c", ratio(full, median(&seen.runs, CDB)), 1.0, Some(0.75), "");
    row(
        "the same over older tables / cdb -c",
        ratio(median(&seen.runs, OVER), median(&seen.runs, CDB)),
        1.0,
        Some(0.75),
        "",
    );
    row("full rebuild / the Perl rebuild", ratio(full, median(&seen.runs, PERL)), 0.25, Some(0.15), "");
    row("a mailbox added, until both are published / full rebuild", of_full(&seen.mailbox), 0.4, Some(0.25), "");
    row("a password changed, until auth.cdb is / full rebuild", of_full(&seen.password), 0.3, Some(0.2), "");
    row("a sweep, nothing changed / full rebuild", of_full(&seen.sweep.0), 0.35, Some(0.2), "");
    row("a notice, nothing changed / full rebuild", of_full(&seen.notice.0), 0.03, Some(0.01), "");
    let memory = |base, each| memory(host, base, each);
    let peak = seen.runs.get(FULL).map(|runs| mib(peak(runs)));
    row("peak memory of a full rebuild", peak, memory(8.0, 40.0), Some(memory(6.0, 25.0)), " MiB");
    row("resident memory of the idle service", Some(mib(seen.resident)), memory(24.0, 60.0), None, " MiB");
    let cold = ratio(median(&seen.cold, FULL), median(&seen.cold, PERL));
    row("full rebuild / Perl, caches dropped for both", cold, 0.35, Some(0.2), "");
    row("trigger / /bin/sh -c 'echo > pipe'", ratio(middle(&seen.pokes.0), middle(&seen.pokes.1)), 1.6, Some(1.2), "");
    let mut text = bounds.text();
    let _ = writeln!(
        text,
        "\nThe tables were left alone where nothing changed. The service wrote at most {:.1} KiB in a sweep and {:.1} KiB \
         after a notice, its log and status included.",
        seen.sweep.1 as f64 / 1024.0,
        seen.notice.1 as f64 / 1024.0
    );
    if let Some(reading) = ratio(median(&seen.runs, READING), median(&seen.runs, CDB)) {
        let _ = writeln!(
            text,
            "\nTo list the homes, and to open, look at and read the files that decide, takes {reading:.3} of cdb -c, with \
             nothing made of them: no full rebuild takes less."
        );
    }
    text
}

/// Where the time goes.
pub fn shares(shares: &[Share]) -> String {
    let used = |part: &usize| shares.iter().any(|share| share.parts[*part] > 0.0);
    let parts: Vec<usize> = (0..PARTS.len()).filter(used).collect();
    let head: String = parts.iter().map(|part| format!(" {} |", PARTS[*part])).collect();
    let mut text = format!(
        "Where the time goes, threads added up, the kernel's divided as strace counts its calls:\n\n| ms |{head} start to end |\n|---|{}--:|\n",
        "--:|".repeat(parts.len())
    );
    for share in shares {
        let cells: String = parts.iter().map(|part| format!(" {:.1} |", share.parts[*part])).collect();
        let _ = writeln!(text, "| {} |{cells} {:.1} |", share.name, share.wall);
    }
    text
}

/// Keeps every run, one a line: domains, name, ms, processor ms, peak KiB.
pub fn keep_runs(path: &Path, sizes: &[(usize, Runs)], seen: &Seen) -> io::Result<()> {
    let mut text = "domains\twhat\tms\tprocessor ms\tpeak KiB\n".to_owned();
    let last = sizes.last().map_or(0, |(domains, _)| *domains);
    let warm = sizes.iter().map(|(domains, runs)| (*domains, runs, ""));
    for (domains, runs, how) in warm.chain([(last, &seen.cold, ", caches dropped")]) {
        for (name, taken) in runs.iter().flat_map(|(name, runs)| runs.iter().map(move |taken| (name, taken))) {
            let (wall, processor) = (ms(taken.wall), ms(taken.user + taken.system));
            let _ = writeln!(text, "{domains}\t{name}{how}\t{wall:.3}\t{processor:.3}\t{}", taken.peak);
        }
    }
    for (name, values) in [
        ("mailbox added", &seen.mailbox),
        ("password changed", &seen.password),
        ("notice", &seen.notice.0),
        ("sweep", &seen.sweep.0),
        ("trigger", &seen.pokes.0),
        ("echo", &seen.pokes.1),
    ] {
        for value in values {
            let _ = writeln!(text, "{last}\t{name}\t{value:.3}\t\t");
        }
    }
    fs::write(path, text)
}

/// The median of some values.
pub fn middle(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| Middle::of(values.iter().copied()).median)
}

/// The largest peak of memory, in KiB.
pub fn peak(runs: &[crate::measure::Taken]) -> u64 {
    runs.iter().map(|taken| taken.peak).max().unwrap_or_default()
}

/// MiB.
pub fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
