//! What a declared delivery agent costs: full rebuilds of one host, in turn with vdelivermail in the `.qmail-default` of
//! each domain and with Dovecot's agent, which `control/validrcptto.programs` declares.

use std::error::Error;
use std::fs;

use crate::contend::{Contenders, FULL, TABLES};
use crate::make::MailHost;
use crate::measure::{Middle, Taken, ms};
use crate::say;

/// How much longer the one may take than the other.
const LIMIT: f64 = 1.03;
/// The two: what stands in each file, and what is declared.
const LINES: [(&str, &str, &str); 2] = [
    ("vdelivermail", "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n", ""),
    (
        "dovecot-lda, declared",
        "|/var/qmail/bin/preline -f /usr/libexec/dovecot/dovecot-lda -d $EXT@$USER\n",
        "dovecot-lda mailboxes\n",
    ),
];
/// What the second one runs.
const PROGRAMS: [&str; 2] = ["/var/qmail/bin/preline", "/usr/libexec/dovecot/dovecot-lda"];
const DECLARATIONS: &str = "/var/qmail/control/validrcptto.programs";

/// Measures, and leaves the host as it was. The table, in Markdown.
pub fn measure(host: &MailHost, contenders: &Contenders, runs: u32) -> Result<String, Box<dyn Error>> {
    for program in PROGRAMS.map(|program| host.path(program)) {
        fs::create_dir_all(program.parent().unwrap_or(&host.root))?;
        fs::write(program, "")?;
    }
    let measured = host.with_other_lines(|| alternately(host, contenders, runs));
    PROGRAMS.iter().chain([&DECLARATIONS]).try_for_each(|path| fs::remove_file(host.path(path)))?;
    let middles = measured??.map(|of| Middle::of(of.iter().map(|taken| ms(taken.wall))));
    let mut text = format!("{} domains, {} mailboxes, full rebuild in ms:\n\n", host.domains, host.mailboxes());
    text += "| line in each domain | median | least | most |\n|---|--:|--:|--:|\n";
    for ((name, ..), Middle { median, least, most }) in LINES.iter().zip(&middles) {
        text += &format!("| {name} | {median:.1} | {least:.1} | {most:.1} |\n");
    }
    let ratio = middles[1].median / middles[0].median;
    let word = if ratio <= LIMIT { "within" } else { "missed" };
    Ok(format!("{text}\ndovecot-lda, declared / vdelivermail: {ratio:.3}, at most {LIMIT}: {word}"))
}

/// The first round does not count.
fn alternately(host: &MailHost, contenders: &Contenders, runs: u32) -> Result<[Vec<Taken>; 2], Box<dyn Error>> {
    let full = contenders.list.iter().find(|contender| contender.name == FULL).ok_or("no full rebuild")?;
    let mut taken = [Vec::new(), Vec::new()];
    for round in 0..=runs {
        say(&format!("{} domains, round {round} of {runs}", host.domains));
        let mut made = Vec::new();
        for ((_, line, declarations), taken) in LINES.iter().zip(&mut taken) {
            host.set_default_lines(&|_| (*line).to_owned())?;
            fs::write(host.path(DECLARATIONS), declarations)?;
            let run = contenders.run(full)?;
            if round > 0 {
                taken.push(run);
            }
            made.push(TABLES.map(|table| fs::read(contenders.ours(table)).ok()));
        }
        if made[0] != made[1] {
            return Err("the two lines made different tables".into());
        }
    }
    Ok(taken)
}
