//! The guard against a sudden loss. A domain that is still assigned and would lose much of its entries at once, while the
//! whole host does, keeps them until an administrator confirms the loss or time does. So do domains that leave the host
//! together, when these are many. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::cdb;
use crate::tables::smtpd::{Says, lookup};
use crate::text::{DEFAULT, join_address, split_address};

/// A domain that loses fewer entries is never held.
const LEAST: u64 = 10;
/// When all domains together lose fewer, none is held.
pub const LEAST_TOGETHER: u64 = 50;

/// When fewer domains leave the host in one rebuild, none of them is held.
pub const LEAST_DOMAINS: usize = 3;

/// How many entries were published, and how many of them a rebuild would take away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Published.
    pub published: u64,
    /// Gone.
    pub lost: u64,
}

impl Loss {
    fn exceeds(self, share: u32, least: u64) -> bool {
        self.lost >= least && self.is_large(share)
    }

    /// Whether more than `share` per cent are gone, however few that are.
    pub fn is_large(self, share: u32) -> bool {
        self.lost * 100 > self.published * u64::from(share)
    }
}

/// What the configuration still says about a published domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether the domain is still assigned: then the guard weighs which of its entries go.
    pub assigned: bool,
    /// How to tell that it leaves; `None` for a domain that is as it was.
    pub left: Option<Left>,
}

/// Why a published domain may be one that leaves the host. The published tables do not say what a domain was, so its loss
/// decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// qmail has no place for it any more: it leaves when it loses much.
    Gone,
    /// qmail may have no place for it, but that may always have been so: it leaves when it loses everything.
    Perhaps,
    /// It is another host's, which takes every name: it leaves when an entry of its own goes, accepted or not.
    Relayed,
}

/// One published domain.
#[derive(Clone, Copy, Debug, Default)]
struct Weighed {
    standing: Standing,
    loss: Loss,
}

impl Weighed {
    fn leaves(&self, share: u32) -> bool {
        match self.standing.left {
            None => false,
            Some(Left::Gone) => self.loss.is_large(share),
            Some(Left::Perhaps) => self.loss.lost == self.loss.published,
            Some(Left::Relayed) => self.loss.lost > 0,
        }
    }
}

/// Losses by domain.
#[derive(Clone, Debug, Default)]
pub struct Losses(BTreeMap<Vec<u8>, Weighed>);

impl Losses {
    /// Notes a published entry of the domain. `standing` is asked once a domain; `is_lost` says whether the
    /// entry is lost to a domain of that standing.
    pub fn count(
        &mut self,
        domain: &[u8],
        standing: impl FnOnce() -> Standing,
        is_lost: impl FnOnce(Standing) -> bool,
    ) {
        let Weighed { standing, loss } = match self.0.get_mut(domain) {
            Some(weighed) => weighed,
            None => {
                self.0.entry(domain.to_vec()).or_insert_with(|| Weighed { standing: standing(), ..Weighed::default() })
            }
        };
        loss.published += 1;
        if is_lost(*standing) {
            loss.lost += 1;
        }
    }

    fn assigned(&self) -> impl Iterator<Item = (&Vec<u8>, Loss)> {
        self.0.iter().filter(|(_, weighed)| weighed.standing.assigned).map(|(domain, weighed)| (domain, weighed.loss))
    }

    /// All domains together, those that leave too.
    pub fn together(&self) -> Loss {
        let add = |a: Loss, b: Loss| Loss { published: a.published + b.published, lost: a.lost + b.lost };
        self.0.values().map(|weighed| weighed.loss).fold(Loss::default(), add)
    }

    /// One domain.
    pub fn of(&self, domain: &[u8]) -> Loss {
        self.0.get(domain).map_or_else(Loss::default, |weighed| weighed.loss)
    }

    /// Whether the domain is still assigned and loses anything.
    pub fn loses_while_assigned(&self, domain: &[u8]) -> bool {
        self.0.get(domain).is_some_and(|weighed| weighed.standing.assigned && weighed.loss.lost > 0)
    }

    /// The published domains. What has no name is none: the logins of system accounts.
    pub fn domains(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.0.keys().filter(|domain| !domain.is_empty())
    }

    /// Whether this domain is published.
    pub fn has(&self, domain: &[u8]) -> bool {
        self.0.contains_key(domain)
    }

    /// The assigned domains that lose more than `share` per cent of their entries while all together do.
    pub fn too_much(&self, share: u32) -> BTreeSet<Vec<u8>> {
        if !self.together().exceeds(share, LEAST_TOGETHER) {
            return BTreeSet::new();
        }
        let held = self.assigned().filter(|(_, loss)| loss.exceeds(share, LEAST));
        held.map(|(domain, _)| domain.clone()).collect()
    }

    /// The assigned domains that lose more than `share` per cent of their entries, however few these are.
    pub fn large(&self, share: u32) -> BTreeSet<Vec<u8>> {
        self.assigned().filter(|(_, loss)| loss.is_large(share)).map(|(domain, _)| domain.clone()).collect()
    }

    /// Whether the domain leaves; `share` says how much is much.
    pub fn leaves(&self, domain: &[u8], share: u32) -> bool {
        self.0.get(domain).is_some_and(|weighed| weighed.leaves(share))
    }

    /// The domains that leave, when they are more than `share` per cent of all. `before` says of which domains this was
    /// found by an earlier rebuild: they do not count again.
    pub fn too_many(&self, share: u32, before: impl Fn(&[u8]) -> bool) -> BTreeSet<Vec<u8>> {
        let leave = self.0.iter().filter(|(domain, weighed)| weighed.leaves(share) && !before(domain));
        let leave: BTreeSet<Vec<u8>> = leave.map(|(domain, _)| domain.clone()).collect();
        if are_many(leave.len(), self.domains().count(), share) { leave } else { BTreeSet::new() }
    }
}

/// Whether so many domains of all that are published are more than may leave in one rebuild.
pub fn are_many(leave: usize, all: usize, share: u32) -> bool {
    leave >= LEAST_DOMAINS && leave * 100 > all * share as usize
}

/// A table of recipients, by the data of a key.
pub trait Recipients {
    /// The data of this very key.
    fn data(&self, key: &[u8]) -> Option<Cow<'_, [u8]>>;
}

impl Recipients for cdb::FileReader<'_> {
    fn data(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.find(key).map(Cow::Owned)
    }
}

impl Recipients for BTreeMap<Vec<u8>, &'static [u8]> {
    fn data(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.get(key).copied().map(Cow::Borrowed)
    }
}

/// Longer than any address that qmail-smtpd takes: no table lists a name with it.
pub const NOBODY: [u8; 1_000] = [b'q'; 1_000];

/// An address that stands for what a key stands for: a name, or every name of a pattern that nobody lists.
pub fn stands_for(key: &[u8], break_byte: u8) -> Vec<u8> {
    let pattern = |(local, domain): (&[u8], &[u8])| {
        let prefix = if local.is_empty() { Some(local) } else { local.strip_suffix(DEFAULT) };
        let prefix = prefix.filter(|prefix| prefix.last().is_none_or(|last| *last == break_byte))?;
        Some(join_address(&[prefix, &NOBODY[..]].concat(), domain))
    };
    split_address(key).and_then(pattern).unwrap_or_else(|| key.to_vec())
}

/// What a table answers for what a key of another table stands for: a name, or every name of a pattern that nobody lists.
pub fn answer(table: &dyn Recipients, key: &[u8], break_byte: u8) -> Says {
    if let Some(data) = table.data(key) {
        return Says::of(&data);
    }
    lookup(&stands_for(key, break_byte), break_byte, |key| table.data(key)).says
}

/// The records of a held domain, whose keys in the published and the new table are `keys`: what either accepts is
/// accepted, for every address, the ones nobody listed included; the new table says what takes it, if it accepts. (An address is decided by the longest key that fits it,
/// and of two tables with all the keys of both, neither decides it by a longer one.)
pub fn keep_both<'k>(
    published: &dyn Recipients,
    new: &dyn Recipients,
    keys: impl IntoIterator<Item = &'k [u8]>,
    break_byte: u8,
) -> BTreeMap<Vec<u8>, &'static [u8]> {
    let either = |key: &[u8]| match answer(new, key, break_byte) {
        Says::Refuses => answer(published, key, break_byte),
        accepts => accepts,
    };
    keys.into_iter().map(|key| (key.to_vec(), either(key).data())).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::cdb::diff::Difference;
    use crate::decide::Taker;
    use crate::tables::smtpd::{self, OTHER};

    #[test]
    fn a_domain_is_held_when_it_loses_much_and_the_host_does() {
        let held = |losses: &[(&str, u64, u64)], share: u32| {
            let mut counted = Losses::default();
            for (domain, published, lost) in losses {
                for number in 0..*published {
                    let stays = || Standing { assigned: true, left: None };
                    counted.count(domain.as_bytes(), stays, |_| number < *lost);
                }
            }
            counted.too_much(share).len()
        };
        assert_eq!(held(&[("a.test", 100, 50), ("b.test", 100, 0)], 20), 1);
        assert_eq!(held(&[("a.test", 100, 49), ("b.test", 100, 0)], 20), 0, "fewer than 50 in all");
        assert_eq!(held(&[("a.test", 100, 50), ("b.test", 150, 0)], 20), 0, "20 % of all is not more than 20 %");
        assert_eq!(held(&[("a.test", 100, 50), ("b.test", 9, 9)], 20), 1, "nine are few");
        assert_eq!(held(&[("a.test", 100, 50), ("b.test", 10, 10)], 20), 2);
        assert_eq!(held(&[("a.test", 1000, 200), ("b.test", 1000, 999)], 20), 1, "exactly 20 %");
        assert_eq!(held(&[("a.test", 100, 100)], 100), 0, "100 switches it off");
    }

    #[test]
    fn domains_are_held_when_many_leave_at_once_however_small_they_are() {
        let held = |losses: &[(Option<Left>, u64, u64, u64)], share: u32, before: &[&[u8]]| {
            let mut counted = Losses::default();
            for (number, (left, domains, published, lost)) in losses.iter().enumerate() {
                for domain in 0..*domains {
                    let name = format!("{number}-{domain}.test");
                    for entry in 0..*published {
                        let standing = || Standing { assigned: left.is_none(), left: *left };
                        counted.count(name.as_bytes(), standing, |_| entry < *lost);
                    }
                }
            }
            counted.too_many(share, |domain| before.contains(&domain)).len()
        };
        let stay = |domains: u64| (None, domains, 5, 0);
        let go = |domains: u64| (Some(Left::Gone), domains, 5, 5);
        assert_eq!(held(&[stay(1), go(3)], 20, &[]), 3, "three of four");
        assert_eq!(held(&[go(3)], 20, &[]), 3, "all");
        assert_eq!(held(&[stay(1), go(2)], 20, &[]), 0, "two are few");
        assert_eq!(held(&[stay(12), go(3)], 20, &[]), 0, "20 % is not more than 20 %");
        assert_eq!(held(&[stay(11), go(3)], 20, &[]), 3);
        assert_eq!(held(&[stay(60), go(40)], 100, &[]), 0, "100 switches it off");
        assert_eq!(held(&[stay(97), go(3)], 0, &[]), 3, "0 holds any three");
        assert_eq!(held(&[stay(1), go(3)], 20, &[b"1-0.test"]), 0, "two more than are held already");
        // What leaves is told by what it loses.
        let partly = |left, lost| held(&[stay(1), (Some(left), 3, 5, lost)], 20, &[]);
        assert_eq!((partly(Left::Gone, 1), partly(Left::Gone, 2)), (0, 3));
        assert_eq!((partly(Left::Perhaps, 4), partly(Left::Perhaps, 5)), (0, 3));
        assert_eq!((partly(Left::Relayed, 0), partly(Left::Relayed, 1)), (0, 3));
    }

    /// A small table: keys of each kind with their answers.
    fn table() -> impl Strategy<Value = BTreeMap<Vec<u8>, &'static [u8]>> {
        const KEYS: &[&str] =
            &["@d.t", "a@d.t", "a-default@d.t", "a-b@d.t", "a-b-default@d.t", "a-b-c@d.t", "b@d.t", "a"];
        proptest::collection::btree_map(proptest::sample::select(KEYS), 0..4_usize, 0..8).prop_map(|table| {
            let says = [Says::Refuses, Says::Accepts(None), OTHER, Says::Accepts(Some(Taker::Mailbox))];
            table.into_iter().map(|(key, number)| (key.as_bytes().to_vec(), says[number].data())).collect()
        })
    }

    /// A table in a file.
    fn file(table: &BTreeMap<Vec<u8>, &'static [u8]>) -> File {
        let image = cdb::image(table.iter().map(|(key, data)| (&key[..], *data))).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&image).unwrap();
        file
    }

    proptest! {
        #[test]
        fn no_more_is_lost_than_went(published in table(), new in table()) {
            let files = (file(&new), file(&published));
            let cdbs = (cdb::FileReader::new(&files.0).unwrap(), cdb::FileReader::new(&files.1).unwrap());
            let change = Difference::between(cdbs.0.records().unwrap(), cdbs.1.records().unwrap()).unwrap();
            let accepted = published.iter().filter(|(_, data)| smtpd::accepts(data)).map(|(key, _)| key);
            let lost: Vec<&Vec<u8>> = accepted.filter(|key| !answer(&new, key, b'-').accepts()).collect();
            prop_assert!(lost.iter().all(|key| change.may_have_gone(key)));
            prop_assert!(lost.len() as u64 <= change.went);
            let keys = published.keys().chain(new.keys());
            prop_assert!(keys.into_iter().all(|key| answer(&cdbs.0, key, b'-') == answer(&new, key, b'-')));
        }

        #[test]
        fn what_is_kept_of_both_accepts_what_either_does_and_nothing_else(published in table(), new in table()) {
            let keys: BTreeSet<&[u8]> = published.keys().chain(new.keys()).map(Vec::as_slice).collect();
            let both = keep_both(&published, &new, keys, b'-');
            for address in [
                "a@d.t", "b@d.t", "c@d.t", "a-@d.t", "a-x@d.t", "a-b@d.t", "a-b-@d.t", "a-b-c@d.t", "a-b-x@d.t", "a-b-c-x@d.t",
                "a-default@d.t", "a-b-default@d.t", "a", "b",
            ] {
                let says = |table: &BTreeMap<Vec<u8>, &'static [u8]>| {
                    lookup(address.as_bytes(), b'-', |key| table.get(key)).says
                };
                let wanted = if says(&new).accepts() { says(&new) } else { says(&published) };
                prop_assert_eq!(says(&both), wanted, "{}", address);
            }
        }
    }
}
