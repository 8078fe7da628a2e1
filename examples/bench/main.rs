//! How fast: this program against those that only compile finished lists, and against a Perl script that does the same.
//!
//! `cargo run --release --example bench -- [M|L|W] [--declared] [--runs N] [--folder DIR] [--svg DIR]` makes the hosts (once), lets
//! all of them work alternately, checks that they made the same tables, and prints medians and ratios. Nothing of it is part
//! of the program. With `--sql mysql` or `--sql pgsql` it measures the same host with its users in a real server: sql.rs.

mod contend;
mod declared;
mod figures;
mod make;
mod measure;
mod read;
mod service;
mod sql;
mod stream;
mod table;
mod trace;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, ValueEnum};

use contend::{Contenders, FULL, PERL};
use make::{MAILBOXES, MailHost};
use measure::{Middle, Taken};
use service::{Pokes, Service};

/// What empties the caches, for root.
pub const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// Measures qmail-updater against others.
#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    /// M is 1,000 domains of 100 mailboxes, L is 10,000; W is 10 domains of 100,000
    #[arg(value_enum, default_value = "m", ignore_case = true)]
    size: Size,
    /// Measure only what a declared delivery agent in each domain costs, beside vdelivermail
    #[arg(long)]
    declared: bool,
    /// How often each is measured, after one run to warm up
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Where the hosts are made, and kept
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    folder: PathBuf,
    /// Where the figures go
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    svg: PathBuf,
    /// Measure the host with its users in this server, against streaming their rows and the same users in files
    #[arg(long, value_name = "SERVER")]
    sql: Option<sql::Server>,
    /// Measure this program instead of building it
    #[arg(long, value_name = "FILE", hide = true)]
    program: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
enum Size {
    /// 10 domains, for tests
    #[value(hide = true)]
    S,
    M,
    L,
    W,
}

impl Size {
    /// The hosts, the one that counts last: how many domains, and how many mailboxes each.
    fn hosts(self) -> Vec<(usize, usize)> {
        let domains: &[usize] = match self {
            Size::W => return vec![(10, 100_000)],
            Size::S => &[10],
            Size::M => &[10, 100, 1_000],
            Size::L => &[10, 100, 1_000, 10_000],
        };
        domains.iter().map(|domains| (*domains, MAILBOXES)).collect()
    }
}

/// The runs of each contender.
pub type Runs = BTreeMap<&'static str, Vec<Taken>>;

/// What was seen on the largest host.
#[derive(Default)]
pub struct Seen {
    /// All contenders, warm.
    pub runs: Runs,
    /// Some of them, without caches.
    pub cold: Runs,
    /// From a new mailbox to both tables published, in ms.
    pub mailbox: Vec<f64>,
    /// From a new password to auth.cdb published, in ms.
    pub password: Vec<f64>,
    /// From a notice of nothing to the end of the look, in ms, and the most bytes that were written meanwhile.
    pub notice: (Vec<f64>, u64),
    /// The same of sweeps.
    pub sweep: (Vec<f64>, u64),
    /// The service's memory at rest, in KiB.
    pub resident: u64,
    /// A trigger, and a shell's echo, in ms.
    pub pokes: (Vec<f64>, Vec<f64>),
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let done = match words.next() {
        Some(word) if word == measure::WORD => measure::serve(words.collect()).map_err(Into::into),
        Some(word) if word == stream::WORD => stream::serve(&words.collect::<Vec<_>>()).map(|()| ExitCode::SUCCESS),
        Some(word) if word == read::WORD => read::serve(&words.collect::<Vec<_>>()).map_err(Into::into),
        _ => run(&Cli::parse()).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "bench: {error}");
        ExitCode::FAILURE
    })
}

/// Says how far it is.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {text}");
}

fn run(cli: &Cli) -> Result<(), Box<dyn Error>> {
    let program = cli.program.clone().map_or_else(build, Ok)?;
    let program = fs::canonicalize(program)?;
    fs::create_dir_all(&cli.folder)?;
    fs::create_dir_all(&cli.svg)?;
    let folder = fs::canonicalize(&cli.folder)?;
    println!("{}", table::machine(&folder));
    let hosts = cli.size.hosts();
    if let (true, Some(largest)) = (cli.declared, hosts.last()) {
        say(&format!("making or finding {} domains", largest.0));
        let host = MailHost::make(&folder, *largest)?;
        println!("{}", declared::measure(&host, &Contenders::of(&host, &program)?, cli.runs)?);
        return Ok(());
    }
    if let (Some(server), Some(largest)) = (cli.sql, hosts.last()) {
        return sql::run(server, &folder, *largest, &program, cli.runs);
    }
    for (name, tool) in contend::missing_tools() {
        say(&format!("left out: {name}: no {tool}"));
    }
    let mut sizes: Vec<(usize, Runs)> = Vec::new();
    let mut last = None;
    for size @ (domains, _) in &hosts {
        say(&format!("making or finding {domains} domains"));
        let host = MailHost::make(&folder, *size)?;
        let contenders = Contenders::of(&host, &program)?;
        let is_last = Some(size) == hosts.last();
        let seen = if is_last { all(&host, &contenders, &program, cli.runs)? } else { warm(&contenders, cli.runs)? };
        let counts = contenders.compare()?;
        say(&format!("{domains} domains: all made the same {} recipients and {} logins", counts[0], counts[1]));
        sizes.push((*domains, seen.runs.clone()));
        last = Some((host, contenders, seen));
    }
    let Some((host, contenders, seen)) = last else { return Ok(()) };
    println!("\n{}\n{}", table::times(&host, &seen), table::must_show(&host, &seen));
    figures::time_by_size(&cli.svg.join("time-by-size.svg"), &sizes)?;
    say("looking where the time goes");
    let shares = trace::shares(&contenders, &seen.runs)?;
    figures::where_it_goes(&cli.svg.join("where-the-time-goes.svg"), *sizes.last().map_or(&0, |(of, _)| of), &shares)?;
    println!("{}", table::shares(&shares));
    Ok(table::keep_runs(&folder.join("runs.tsv"), &sizes, &seen)?)
}

/// Builds the program with the profile of this one.
fn build() -> Result<PathBuf, Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--bins"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if cfg!(debug_assertions) {
        say("this is a debug build, whose figures mean little; use cargo run --release");
    } else {
        command.arg("--release");
    }
    if !command.status()?.success() {
        return Err("cargo build failed".into());
    }
    let here = std::env::current_exe()?;
    let folder = here.parent().and_then(Path::parent).ok_or("unknown folder")?;
    Ok(folder.join("qmail-updater"))
}

/// The contenders' turns; the first round does not count.
fn warm(contenders: &Contenders, runs: u32) -> Result<Seen, Box<dyn Error>> {
    let mut seen = Seen::default();
    for round in 0..=runs {
        turns(contenders, round, &mut seen)?;
    }
    Ok(seen)
}

fn turns(contenders: &Contenders, round: u32, seen: &mut Seen) -> Result<(), Box<dyn Error>> {
    for contender in &contenders.list {
        let taken = contenders.run(contender)?;
        if round > 0 {
            seen.runs.entry(contender.name).or_default().push(taken);
        }
    }
    Ok(())
}

/// All that is measured: the contenders in turn with a running service, its sweeps, triggers, and cold caches.
fn all(host: &MailHost, contenders: &Contenders, program: &Path, runs: u32) -> Result<Seen, Box<dyn Error>> {
    let mut seen = Seen::default();
    let mut service = Service::start(host, program, &["run", "--sweep", "86400"])?;
    service.rest()?;
    for table in contend::TABLES {
        if fs::read(service.table(table))? != fs::read(contenders.ours(table))? {
            return Err(format!("{table}: the service's is not the rebuild's").into());
        }
    }
    for round in 0..=runs {
        say(&format!("{} domains, round {round} of {runs}", host.domains));
        turns(contenders, round, &mut seen)?;
        let both = contend::TABLES;
        let mailbox = service.change(Some("newcomer"), None, "add_user", &both)?;
        let password = service.change(Some("newcomer"), Some(round.into()), "mod_user", &both[1..])?;
        service.change(None, None, "mod_user", &both)?;
        let notice = service.notice()?;
        if round > 0 {
            seen.mailbox.push(measure::ms(mailbox));
            seen.password.push(measure::ms(password));
            seen.notice.0.push(notice.ms);
            seen.notice.1 = seen.notice.1.max(notice.written);
        }
    }
    seen.resident = service.resident()?;
    for table in contend::TABLES {
        if fs::read(service.table(table))? != fs::read(contenders.ours(table))? {
            return Err(format!("{table}: the service's is not the rebuild's after its changes").into());
        }
    }
    drop(service);
    say("sweeps");
    let mut service = Service::start(host, program, &["run", "--sweep", "1"])?;
    for round in 0..=runs {
        let sweep = service.sweep()?;
        if round > 0 {
            seen.sweep.0.push(sweep.ms);
            seen.sweep.1 = seen.sweep.1.max(sweep.written);
        }
    }
    drop(service);
    say("triggers");
    let mut pokes = Pokes::new(host, program)?;
    for round in 0..=runs * 20 {
        let (trigger, echo) = pokes.turn()?;
        if round > 0 {
            seen.pokes.0.push(trigger);
            seen.pokes.1.push(echo);
        }
    }
    cold(contenders, host, &mut seen)?;
    Ok(seen)
}

/// Three turns without caches, when that is allowed.
fn cold(contenders: &Contenders, host: &MailHost, seen: &mut Seen) -> Result<(), Box<dyn Error>> {
    if host.domains < 1_000 {
        return Ok(());
    }
    if !nix::unistd::geteuid().is_root() || fs::OpenOptions::new().write(true).open(DROP_CACHES).is_err() {
        say(&format!("left out: cold caches: {DROP_CACHES} cannot be written"));
        return Ok(());
    }
    say("cold caches");
    for _ in 0..3 {
        for contender in contenders.list.iter().filter(|contender| [FULL, PERL].contains(&contender.name)) {
            seen.cold.entry(contender.name).or_default().push(contenders.run_cold(contender)?);
        }
    }
    Ok(())
}

/// The median of some runs' time, in ms.
pub fn median(runs: &Runs, name: &str) -> Option<f64> {
    runs.get(name).map(|runs| Middle::of(runs.iter().map(|taken| measure::ms(taken.wall))).median)
}
