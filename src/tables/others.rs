//! The recipient table in the words of other qmails (docs/rules.md, 11.8): recipients.cdb of s/qmail, and morevalidrcptto.cdb of
//! sagredo's qmail. Pure. Neither can say all that validrcptto.cdb says; what it cannot say is widened, or left to the next check.

use std::collections::{BTreeMap, BTreeSet};

use crate::text::{DEFAULT, Shown, join_address, split_address};

/// The entries of validrcptto.cdb: for each domain its local parts, the empty one for all names, and whether each is accepted.
/// Names without a domain have none.
#[derive(Debug, Default)]
pub struct Entries {
    domains: BTreeMap<Vec<u8>, Vec<(Vec<u8>, bool)>>,
    bare: Vec<Vec<u8>>,
}

/// What another table holds: its keys, whose data is empty, and what it says in another way.
#[derive(Debug, Default)]
pub struct Made {
    /// Sorted.
    pub keys: BTreeSet<Vec<u8>>,
    /// Each one fact.
    pub notes: Vec<String>,
}

impl Entries {
    /// Adds an entry.
    pub fn add(&mut self, key: &[u8], accepted: bool) {
        match split_address(key) {
            Some((local, domain)) => self.domains.entry(domain.to_vec()).or_default().push((local.to_vec(), accepted)),
            None if accepted => self.bare.push(key.to_vec()),
            None => {}
        }
    }

    /// The keys of recipients.cdb: `:address`, and `:foo-@domain` for all names that begin with `foo-`. `is_open` says of which
    /// domains control/recipients accepts every name.
    pub fn sqmail(&self, break_byte: u8, is_open: impl Fn(&[u8]) -> bool) -> Made {
        let mut made = Made::default();
        let key = |local: &[u8], domain: &[u8]| [b":", &join_address(local, domain)[..]].concat();
        for (domain, names) in &self.domains {
            for (local, _) in names.iter().filter(|(_, accepted)| *accepted) {
                let Some(prefix) = prefix(local, break_byte) else {
                    if !local.is_empty() {
                        made.keys.insert(key(local, domain));
                    } else if !is_open(domain) {
                        made.notes.push(format!(
                            "it cannot say that {0} accepts every name; s/qmail refuses them until control/recipients has the \
                             line !{0}",
                            Shown(domain)
                        ));
                    }
                    continue;
                };
                let first = first_part(prefix, break_byte);
                if first.len() < prefix.len() {
                    made.notes.push(format!(
                        "it accepts all of {}...@{}, because it cannot say {}...",
                        Shown(first),
                        Shown(domain),
                        Shown(prefix)
                    ));
                }
                made.keys.insert(key(first, domain));
            }
            for (local, _) in names.iter().filter(|(local, accepted)| !accepted && !local.is_empty()) {
                let first = first_part(local, break_byte);
                if first.last() == Some(&break_byte) && made.keys.contains(&key(first, domain)) {
                    let name = join_address(local, domain);
                    made.notes.push(format!("it accepts {}, because it cannot refuse a name", Shown(&name)));
                }
            }
        }
        made.keys.extend(self.bare.iter().map(|name| key(name, b"localhost")));
        made
    }

    /// The keys of morevalidrcptto.cdb: `address` and `@domain` accept, `-address` and `-@domain` refuse. A domain that `is_named`
    /// does not know has none: an accepted name skips the check of rcpthosts.
    pub fn sagredo(&self, break_byte: u8, is_named: impl Fn(&[u8]) -> bool) -> Made {
        let mut made = Made::default();
        let refusing = |local: &[u8], domain: &[u8]| [b"-", &join_address(local, domain)[..]].concat();
        for (domain, names) in self.domains.iter().filter(|(domain, _)| is_named(domain)) {
            let patterns = |accepted| {
                names.iter().filter(move |(local, is)| *is == accepted && prefix(local, break_byte).is_some()).count()
            };
            let takes_all = names.iter().any(|(local, accepted)| local.is_empty() && *accepted);
            let is_left = !takes_all && patterns(true) > 0;
            let exact = names.iter().filter(|(local, _)| !local.is_empty() && prefix(local, break_byte).is_none());
            for (local, accepted) in exact {
                match accepted {
                    // It would refuse the name without its dash.
                    true if local.starts_with(b"-") && (takes_all || is_left) => {}
                    true => drop(made.keys.insert(join_address(local, domain))),
                    false if takes_all || is_left => drop(made.keys.insert(refusing(local, domain))),
                    false => {}
                }
            }
            if takes_all {
                made.keys.insert(join_address(b"", domain));
                if patterns(false) > 0 {
                    let domain = Shown(domain);
                    made.notes.push(format!(
                        "it accepts every name of {domain}, because it cannot refuse all that begin alike"
                    ));
                }
            } else if is_left {
                let domain = Shown(domain);
                made.notes.push(format!(
                    "it leaves names of {domain} that it does not list to chkuser, because it cannot accept all that begin alike"
                ));
            } else {
                made.keys.insert(refusing(b"", domain));
            }
        }
        made
    }
}

/// What all names begin with that a key of this local part accepts, the break character included; `None` for one name.
fn prefix(local: &[u8], break_byte: u8) -> Option<&[u8]> {
    local.strip_suffix(DEFAULT).filter(|prefix| prefix.last() == Some(&break_byte))
}

/// The local part up to its first break character, that included.
fn first_part(local: &[u8], break_byte: u8) -> &[u8] {
    let end = local.iter().position(|byte| *byte == break_byte).map_or(local.len(), |at| at + 1);
    &local[..end]
}
