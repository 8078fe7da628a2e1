//! How the time of a round is shared. A domain, an owner and a round have so much of it; what is left then waits for the
//! next round, in which those that took the least come first. So one owner, however many changes he makes and however long
//! his programs take or are stopped, keeps the others waiting for one program at most.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// A domain may begin a program for this part of the limit of one program, in a round.
const OF_DOMAIN: u32 = 12;
/// The same of all domains of one owner.
const OF_OWNER: u32 = 6;
/// The same of all owners.
const OF_ROUND: u32 = 3;
/// What somebody took is forgotten in so many times the time that it took.
const FORGOTTEN: u32 = 4;

/// Who took how much.
#[derive(Debug, Default)]
struct Taken {
    owners: HashMap<u32, Duration>,
    domains: HashMap<Vec<u8>, Duration>,
}

impl Taken {
    fn add(&mut self, owner: u32, domain: &[u8], time: Duration) {
        *self.owners.entry(owner).or_default() += time;
        *self.domains.entry(domain.to_vec()).or_default() += time;
    }

    fn of(&self, owner: u32, domain: &[u8]) -> (Duration, Duration) {
        let time = |taken: Option<&Duration>| taken.copied().unwrap_or_default();
        (time(self.owners.get(&owner)), time(self.domains.get(domain)))
    }

    fn forget(&mut self, time: Duration) {
        fn forget<K>(taken: &mut HashMap<K, Duration>, time: Duration) {
            taken.retain(|_, taken| {
                *taken = taken.saturating_sub(time);
                !taken.is_zero()
            });
        }
        forget(&mut self.owners, time);
        forget(&mut self.domains, time);
    }
}

/// The time that was taken lately, and in this round.
#[derive(Debug)]
pub(super) struct Shares {
    lately: Taken,
    this_round: Taken,
    /// When the round's first program began.
    began: Option<Instant>,
    /// Until when what was taken is forgotten.
    forgot: Instant,
}

impl Default for Shares {
    fn default() -> Shares {
        Shares { lately: Taken::default(), this_round: Taken::default(), began: None, forgot: Instant::now() }
    }
}

impl Shares {
    /// A round begins at this time.
    pub(super) fn begin(&mut self, now: Instant) {
        self.this_round = Taken::default();
        self.began = None;
        self.lately.forget(now.saturating_duration_since(self.forgot) / FORGOTTEN);
        self.forgot = now;
    }

    /// Whether a program of this domain may begin in this round, where one program may take `limit`.
    pub(super) fn may_begin(&mut self, owner: u32, domain: &[u8], limit: Duration, now: Instant) -> bool {
        let began = *self.began.get_or_insert(now);
        let (of_owner, of_domain) = self.this_round.of(owner, domain);
        let is_over = now.saturating_duration_since(began) >= limit / OF_ROUND;
        !is_over && of_owner < limit / OF_OWNER && of_domain < limit / OF_DOMAIN
    }

    /// To look at what this domain holds took so long: that moves the turns of its owner, and leaves the time of his programs.
    pub(super) fn looked(&mut self, owner: u32, domain: &[u8], time: Duration) {
        self.lately.add(owner, domain, time);
    }

    /// A program of this domain took so long.
    pub(super) fn took(&mut self, owner: u32, domain: &[u8], time: Duration) {
        self.this_round.add(owner, domain, time);
        self.lately.add(owner, domain, time);
    }
}

/// The domains of a round that did not have their turn yet.
#[derive(Debug)]
pub(super) struct Turns {
    /// Those of each owner, the one that took the least lately at the end.
    domains: BTreeMap<u32, Vec<Vec<u8>>>,
    /// The owners, by the time that they had taken when they were put here.
    owners: BTreeSet<(Duration, u32)>,
}

impl Turns {
    /// Each domain with its owner.
    pub(super) fn new(shares: &Shares, all: impl Iterator<Item = (u32, Vec<u8>)>) -> Turns {
        let mut domains: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        all.for_each(|(owner, domain)| domains.entry(owner).or_default().push(domain));
        for (owner, domains) in &mut domains {
            domains.sort();
            domains.sort_by_key(|domain| shares.lately.of(*owner, domain).1);
            domains.reverse();
        }
        let owners = domains.keys().map(|owner| (Duration::ZERO, *owner)).collect();
        Turns { domains, owners }
    }

    /// The next one: always of the owner who has taken the least by now.
    pub(super) fn next(&mut self, shares: &Shares) -> Option<Vec<u8>> {
        loop {
            let (before, owner) = self.owners.pop_first()?;
            let (time, _) = shares.lately.of(owner, b"");
            if time > before {
                self.owners.insert((time, owner));
                continue;
            }
            let domains = self.domains.get_mut(&owner)?;
            let domain = domains.pop()?;
            if !domains.is_empty() {
                self.owners.insert((time, owner));
            }
            return Some(domain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_domain_an_owner_and_a_round_have_their_share_and_no_more() {
        let mut shares = Shares::default();
        let now = Instant::now();
        shares.begin(now);
        assert!(shares.may_begin(1, b"a.test", LIMIT, now));
        shares.took(1, b"a.test", seconds(5));
        assert!(!shares.may_begin(1, b"a.test", LIMIT, now), "a domain has 5 s");
        assert!(shares.may_begin(1, b"b.test", LIMIT, now), "another one of the same owner has its own");
        shares.took(1, b"b.test", seconds(5));
        assert!(!shares.may_begin(1, b"c.test", LIMIT, now), "an owner has 10 s");
        assert!(shares.may_begin(2, b"d.test", LIMIT, now + seconds(19)));
        assert!(!shares.may_begin(2, b"d.test", LIMIT, now + seconds(20)), "a round has 20 s");
        shares.begin(now + seconds(20));
        assert!(shares.may_begin(1, b"a.test", LIMIT, now + seconds(50)), "a round begins with its first program");
    }

    #[test]
    fn who_took_the_least_lately_comes_first() {
        let mut shares = Shares::default();
        let now = Instant::now();
        shares.begin(now);
        shares.took(1, b"a.test", seconds(60));
        shares.took(2, b"b.test", seconds(5));
        let order = |shares: &Shares| -> Vec<u8> {
            let all = [(1, b"a.test"), (2, b"b.test"), (2, b"c.test"), (3, b"d.test")];
            let mut turns = Turns::new(shares, all.into_iter().map(|(owner, domain)| (owner, domain.to_vec())));
            std::iter::from_fn(|| turns.next(shares)).map(|domain| domain[0]).collect()
        };
        assert_eq!(order(&shares), b"dcba");
        shares.begin(now + seconds(21));
        assert_eq!(order(&shares), b"bcda", "5 s are forgotten after 20 s");
        shares.begin(now + seconds(240) + seconds(1));
        assert_eq!(order(&shares), b"abcd", "all is forgotten");
    }

    #[test]
    fn an_owner_of_many_domains_who_takes_long_to_look_at_has_one_turn_before_others_have_theirs() {
        let mut shares = Shares::default();
        let many = (0..100).map(|number| (1, format!("{number:03}.test").into_bytes()));
        let all = many.chain([(2, b"x.test".to_vec()), (3, b"y.test".to_vec()), (3, b"z.test".to_vec())]);
        let mut turns = Turns::new(&shares, all);
        let mut order = Vec::new();
        while let Some(domain) = turns.next(&shares) {
            let (owner, time) = if domain[0].is_ascii_digit() { (1, seconds(3)) } else { (3, seconds(1)) };
            let owner = if domain == b"x.test" { 2 } else { owner };
            shares.looked(owner, &domain, time);
            order.push(domain);
        }
        let first: Vec<_> = order.iter().take(5).map(|domain| String::from_utf8_lossy(domain)).collect();
        assert_eq!(first, ["000.test", "x.test", "y.test", "z.test", "001.test"]);
        assert_eq!(order.len(), 103, "each has its turn");
        assert!(shares.may_begin(1, b"000.test", LIMIT, Instant::now()), "the time of its programs is left");
    }
}
