//! Which keys validrcptto.cdb needs so that qmail-smtpd's lookup gives [`delivery`](crate::delivery)'s answer for every
//! address, the ones nobody listed included (SPEC section 8). Pure. Nothing is decided here about mail: the points at
//! which the answer can change are collected, delivery is asked for each, and the answers are laid out as a table.
//!
//! The work is cut into [`Unit`]s, one a home, so that each home is read once, asked for every domain that it serves,
//! and dropped. A domain's table is finished, and leaves, with the last home that contributes to it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::hash::Hash;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use crate::cdb;
use crate::delivery::{Delivery, Doubt, Route, Step, Trail, Verdict, deliver, route};
use crate::host::dot_qmail::{Stem, spelled, spelled_byte};
use crate::host::vpopmail::{ADDRESS_MAX, Mailbox, Mailboxes, is_legal_name};
use crate::host::{Home, HomeState, Homes, Host};
use crate::report::Note;
use crate::root::Who;
use crate::smtpd::{self, DEFAULT, default_key, lookup};
use crate::text::{Shown, join_address, lower, split_address};

/// A stem with more colons than this is given two spellings only, all `.` and all `:`.
pub const MAX_SPELLED_COLONS: usize = 6;
/// A mailbox with a longer name is always asked for: no limit on names is near.
const MAX_ALIKE: usize = 64;

/// A point at which the answer can change: below a domain, or, before the domain is known, a whole local part as
/// qmail-lspawn sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Point {
    local: Vec<u8>,
    kind: Kind,
}

impl Point {
    /// What a pattern begins with, as a name that nobody looks for in the list.
    fn as_name(&self) -> Point {
        Point { local: self.local.clone(), kind: Kind::Name { listed: false } }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// This very name. `listed`: people look for it in the list, so it is written even where a wider key accepts it.
    Name { listed: bool },
    /// Every name that begins like this and that nobody listed.
    Pattern,
}

/// A domain that qmail-smtpd may ask about.
#[derive(Debug)]
struct Domain {
    name: Vec<u8>,
    /// What qmail-send puts before a local part, its `-` included; empty for a local domain, `None` for a relayed one.
    prefix: Option<Vec<u8>>,
    /// Whether rcpthosts lets it through; if not, only its bare names matter.
    accepted: bool,
    /// Whether names without `@` belong to it.
    bare: bool,
}

/// One way from a local part into a home: a `+loc` line, or an account, or alias.
#[derive(Debug)]
struct Rule {
    /// What the local part begins with.
    loc: Vec<u8>,
    /// What the extension begins with, lower case.
    pre: Vec<u8>,
    dash: Vec<u8>,
    who: Who,
}

/// One home and what has to be asked while it is at hand.
#[derive(Debug, Default)]
pub struct Unit {
    /// The home; `None` for what needs none.
    pub home: Option<Vec<u8>>,
    /// The domains whose `+domain-` line names this home, with the line's uid; published or not.
    pub vpopmail_domains: Vec<(Vec<u8>, u32)>,
    /// Whether mail or logins depend on the home; else only its names are of interest.
    pub matters: bool,
    rules: Vec<usize>,
    /// Points by whole local part: for every domain whose prefix they begin with.
    placed: Vec<Point>,
    /// Points of one domain.
    own: Vec<(usize, Point)>,
    /// What of the tables nobody but this unit and the shared ones contributes to.
    parts: Vec<Part>,
}

/// The names of a domain that begin with a prefix: of a domain with one home, all of them; of a local domain, those that
/// lead to one vpopmail domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Part {
    domain: usize,
    prefix: Vec<u8>,
}

/// What has to be asked of whom.
#[derive(Debug)]
pub struct Plan {
    host: Arc<Host>,
    /// In the order of their names.
    domains: Vec<Domain>,
    /// The domains that have a prefix, in its order.
    by_prefix: Vec<u32>,
    rules: Vec<Rule>,
    /// The rules in the order of their locs.
    by_loc: Vec<u32>,
    /// In the order in which their answers must be added.
    pub units: Vec<Unit>,
    /// How many units contribute to every domain: the first ones.
    pub shared: usize,
    /// For each unit the domains with a prefix of their own that it contributes to beside others.
    contributions: Vec<Vec<usize>>,
    fresh_word: Vec<u8>,
    /// The domains that a `user@domain` key of virtualdomains names.
    has_own_names: HashSet<Vec<u8>>,
    /// What stands before each `-` of the exact lines of users/assign, with it.
    has_exact_lines: HashSet<Vec<u8>>,
}

/// One answer of delivery.
#[derive(Debug, Hash)]
struct Answer {
    domain: usize,
    point: Point,
    fact: Fact,
}

#[derive(Clone, Debug, PartialEq, Hash)]
struct Fact {
    accepted: bool,
    /// What could not be read, when `accepted` says only "we cannot know".
    doubt: Option<Box<Doubt>>,
    /// The file and line behind it, for an answer that may have to be widened.
    origin: Option<Box<str>>,
    listed: bool,
}

/// What came of one unit.
#[derive(Debug, Default)]
pub struct Answers {
    /// The records of those parts of the tables that are laid out already: of this unit alone, and nothing is in doubt.
    pub records: cdb::Chunk,
    /// Which parts these are.
    laid_out: Vec<Part>,
    /// What those of local domains answer where nobody is listed: whether that needs a key, the whole domain decides.
    tops: Vec<Top>,
    /// The answers for all other parts.
    rest: Vec<Answer>,
    /// What the format cannot say and was widened.
    notes: Vec<Note>,
    /// Whether some names are listed in two spellings only, because there are too many.
    pub cut: bool,
}

/// What the names of a part that nobody listed come to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Top {
    part: Part,
    accepted: bool,
}

impl Answers {
    /// What others have a part in: as long as it is the same, so is all that they make together.
    pub fn shared(&self) -> impl Hash + '_ {
        (&self.laid_out, &self.tops, &self.rest)
    }

    /// What the format cannot say and was widened.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The same, taken out.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Whether something could not be read.
    pub fn is_doubtful(&self) -> bool {
        self.rest.iter().any(|answer| answer.fact.doubt.is_some())
    }
}

/// The names that the shared units know, by domain: whoever has such a name in a part of his own does not lay it out alone.
#[derive(Debug, Default)]
pub struct Common(BTreeMap<usize, BTreeSet<Vec<u8>>>);

impl Common {
    fn touches(&self, part: &Part) -> bool {
        let from = |names: &BTreeSet<Vec<u8>>| {
            names.range(part.prefix.clone()..).next().is_some_and(|name| name.starts_with(&part.prefix))
        };
        self.0.get(&part.domain).is_some_and(from)
    }
}

/// Names, and whether each is accepted.
type Judged<'n> = Vec<(&'n [u8], bool)>;

/// The records of one part of the tables.
struct LaidOut {
    records: BTreeMap<Vec<u8>, bool>,
    notes: Vec<Note>,
}

impl Plan {
    /// Collects what has to be asked, from everything but the homes.
    pub fn new(host: Arc<Host>) -> Plan {
        let mut plan = Plan {
            fresh_word: fresh_word(&host),
            host,
            domains: Vec::new(),
            by_prefix: Vec::new(),
            rules: Vec::new(),
            by_loc: Vec::new(),
            units: Vec::new(),
            shared: 0,
            contributions: Vec::new(),
            has_own_names: HashSet::new(),
            has_exact_lines: HashSet::new(),
        };
        let keys = plan.host.control.virtual_domains.keys();
        plan.has_own_names = keys.filter_map(|key| Some(split_address(key)?.1.to_vec())).collect();
        let cuts = |key: &Vec<u8>| {
            let dashes: Vec<usize> = (0..key.len()).filter(|at| key[*at] == b'-').collect();
            dashes.into_iter().map(|at| key[..=at].to_vec()).collect::<Vec<_>>()
        };
        plan.has_exact_lines = plan.host.assignments.exact.keys().flat_map(cuts).collect();
        plan.collect_domains();
        plan.collect_units();
        plan
    }

    /// Every domain that rcpthosts accepts and some control file names, and envnoathost's.
    fn collect_domains(&mut self) {
        let host = self.host.clone();
        let control = &host.control;
        let mut names: BTreeSet<&[u8]> = BTreeSet::new();
        let without_dot = |name: &&[u8]| name.first() != Some(&b'.');
        names.extend(control.locals.keys().map(Vec::as_slice));
        for key in control.virtual_domains.keys().filter(|key| !key.is_empty()) {
            names.extend(match split_address(key) {
                Some((_, domain)) => Some(domain),
                None => Some(key.as_slice()).filter(without_dot),
            });
        }
        names.extend(control.rcpthosts.iter().flat_map(|names| names.keys()).map(Vec::as_slice).filter(without_dot));
        names.extend(control.morercpthosts.keys().map(Vec::as_slice).filter(without_dot));
        names.retain(|name| control.accepts(name));
        let bare = &control.envnoathost[..];
        let envnoathost_accepted = names.contains(bare);
        names.insert(bare);
        let domain = |name: &[u8]| {
            let (is_bare, accepted) = (name == bare, name != bare || envnoathost_accepted);
            Domain { name: name.to_vec(), prefix: control.prefix(name), accepted, bare: is_bare }
        };
        // One place for each, and no more: a host may have very many.
        self.domains.reserve_exact(names.len());
        self.domains.extend(names.into_iter().map(domain));
        self.by_prefix = sorted_by(&self.domains, |domain| domain.prefix.as_deref());
    }

    /// The number of a domain.
    fn domain(&self, name: &[u8]) -> Option<usize> {
        self.domains.binary_search_by(|domain| domain.name[..].cmp(name)).ok()
    }

    /// The domains of this prefix.
    fn domains_at(&self, prefix: &[u8]) -> impl Iterator<Item = usize> {
        let of = |number: &u32| self.domains[*number as usize].prefix.as_deref().unwrap_or_default();
        run(&self.by_prefix, of, prefix, move |found| found == prefix)
    }

    /// The domains whose prefix begins like this.
    fn domains_below(&self, prefix: &[u8]) -> impl Iterator<Item = usize> {
        let of = |number: &u32| self.domains[*number as usize].prefix.as_deref().unwrap_or_default();
        run(&self.by_prefix, of, prefix, move |found| found.starts_with(prefix))
    }

    /// The rules of this loc.
    fn rules_at(&self, loc: &[u8]) -> impl Iterator<Item = usize> {
        run(&self.by_loc, |number| &self.rules[*number as usize].loc, loc, move |found| found == loc)
    }

    /// The rules whose loc begins like this, in the order of their locs.
    fn rules_below(&self, loc: &[u8]) -> impl Iterator<Item = usize> {
        run(&self.by_loc, |number| &self.rules[*number as usize].loc, loc, move |found| found.starts_with(loc))
    }

    fn collect_units(&mut self) {
        let host = self.host.clone();
        // Boxed: the nodes of a tree are half empty, and a host may have very many homes.
        let mut units: BTreeMap<Option<&[u8]>, Box<Unit>> = BTreeMap::new();
        let mut unit = |home, fill: &mut dyn FnMut(&mut Unit)| fill(units.entry(home).or_default());
        // A relative home is no one's, for mail or for logins.
        fn usable(home: &[u8]) -> Option<&[u8]> {
            Some(home).filter(|home| home.first() == Some(&b'/'))
        }
        // Lines and accounts that qmail never gets to make points too: they decide where a wider key was widened.
        let name = |local: &[u8], listed| Point { local: local.to_vec(), kind: Kind::Name { listed } };
        let pattern = |local: &[u8]| Point { local: local.to_vec(), kind: Kind::Pattern };

        let mut exact: Vec<_> = host.assignments.exact.iter().collect();
        exact.sort_unstable_by_key(|(key, _)| *key);
        for (key, line) in exact {
            unit(usable(&line.home), &mut |unit| {
                add_few(&mut unit.placed, [name(key, true)]);
                unit.matters |= line.who.uid != 0;
            });
        }
        let mut wildcards: Vec<_> = host.assignments.wildcards.iter().collect();
        wildcards.sort_unstable_by_key(|(loc, _)| *loc);
        for (loc, line) in wildcards {
            let rule = Rule { loc: loc.clone(), pre: lower(&line.ext), dash: line.dash.clone(), who: line.who };
            let rule = self.add_rule(rule);
            unit(usable(&line.home), &mut |unit| {
                add_few(&mut unit.rules, [rule]);
                add_few(&mut unit.placed, [name(loc, host.assignments.is_tried(loc)), pattern(loc)]);
                unit.matters |= line.who.uid != 0;
            });
        }
        let accepted = host.accounts.accepted.iter().map(|(name, account)| (name, account, true));
        let passed_over = host.accounts.passed_over.iter().map(|(name, account)| (name, account, false));
        for (account_name, account, accepted) in accepted.chain(passed_over) {
            let whole = lower(account_name);
            let loc = [&whole[..], &[host.layout.break_byte]].concat();
            let rule = Rule { loc: loc.clone(), pre: Vec::new(), dash: b"-".to_vec(), who: account.who };
            let rule = self.add_rule(rule);
            unit(usable(&account.home), &mut |unit| {
                add_few(&mut unit.rules, [rule]);
                add_few(&mut unit.placed, [name(&whole, accepted), pattern(&loc)]);
                unit.matters |= accepted;
            });
        }
        if let Some(alias) = &host.accounts.alias {
            let rule = self.add_rule(Rule { loc: Vec::new(), pre: Vec::new(), dash: b"-".to_vec(), who: alias.who });
            unit(usable(&alias.home), &mut |unit| {
                add_few(&mut unit.rules, [rule]);
                unit.matters = true;
            });
        }
        let mut domains: Vec<_> = host.assignments.domains().collect();
        domains.sort_unstable_by_key(|(domain, _)| *domain);
        for (domain, line) in domains {
            let home = usable(&line.home);
            unit(home, &mut |unit| {
                add_few(&mut unit.vpopmail_domains, [(domain.to_vec(), line.who.uid)]);
                unit.matters = true;
            });
        }
        for (index, point) in self.own_points() {
            let address = self.address(index, &point);
            let home = match route(&host, &address, &mut Trail::unkept()) {
                Route::Decided(_) => None,
                Route::Local(assigned) => Some(assigned.home),
            };
            unit(home, &mut |unit| add_few(&mut unit.own, [(index, point.clone())]));
        }
        self.rules.shrink_to_fit();
        self.by_loc = sorted_by(&self.rules, |rule| Some(&rule.loc));
        // Those that contribute to every domain come first, so that no domain has to wait for them.
        let is_shared = |unit: &Unit| unit.rules.iter().any(|rule| self.rules[*rule].loc.is_empty());
        let shared: Vec<_> = units.iter().filter(|(_, unit)| is_shared(unit)).map(|(home, _)| *home).collect();
        let shared: Vec<_> = shared.into_iter().filter_map(|home| units.remove_entry(&home)).collect();
        self.shared = shared.len();
        self.units.reserve_exact(shared.len() + units.len());
        let units = shared.into_iter().chain(units);
        self.units.extend(units.map(|(home, unit)| Unit { home: home.map(<[u8]>::to_vec), ..*unit }));
        let contributions =
            |(number, unit)| if number < self.shared { Vec::new() } else { self.contributions_of(unit) };
        self.contributions = self.units.iter().enumerate().map(contributions).collect();
        self.collect_parts();
    }

    /// Gives each unit the parts of the tables that no other one contributes to, the shared ones aside.
    fn collect_parts(&mut self) {
        let mut contributors = vec![0; self.domains.len()];
        self.contributions.iter().flatten().for_each(|domain| contributors[*domain] += 1);
        for (unit, domains) in self.units.iter_mut().zip(&mut self.contributions) {
            let alone = |domain: &usize| contributors[*domain] == 1;
            for domain in domains.iter().copied().filter(alone) {
                add_few(&mut unit.parts, [Part { domain, prefix: Vec::new() }]);
            }
            domains.retain(|domain| !alone(domain));
        }
        // What leads from local domains into one home: nobody else's names begin like that.
        let mut claims: Vec<(&[u8], usize)> = Vec::new();
        for (number, unit) in self.units.iter().enumerate() {
            claims.extend(unit.rules.iter().map(|rule| (&self.rules[*rule].loc[..], number)));
            claims.extend(unit.placed.iter().map(|point| (&point.local[..], number)));
            claims.extend(
                unit.own
                    .iter()
                    .filter(|(domain, _)| !self.leaves_early(*domain))
                    .map(|(_, point)| (&point.local[..], number)),
            );
        }
        claims.sort_unstable();
        let is_alone = |loc: &[u8], unit: usize| {
            let first = claims.partition_point(|(local, _)| *local < loc);
            let others = claims[first..].iter().take_while(|(local, _)| local.starts_with(loc));
            let has_rules = |loc: &[u8]| self.rules_at(loc).next().is_some();
            let shorter = (1..loc.len()).any(|end| has_rules(&loc[..end]));
            self.is_key_prefix(loc)
                && !shorter
                && others.into_iter().all(|(local, claimed)| *claimed == unit && (*local == loc || !has_rules(local)))
        };
        // Mailboxes of a local domain answer under every rule.
        let is_plain = |domain: &usize| self.host.assignments.vpopmail_domain(&self.domains[*domain].name).is_none();
        let local: Vec<usize> = self.domains_at(b"").filter(is_plain).collect();
        let mut parts = Vec::new();
        for (number, unit) in self.units.iter().enumerate().skip(self.shared) {
            let locs: BTreeSet<&Vec<u8>> = unit.rules.iter().map(|rule| &self.rules[*rule].loc).collect();
            for loc in locs.into_iter().filter(|loc| !loc.is_empty() && is_alone(loc, number)) {
                parts.extend(local.iter().map(|domain| (number, Part { domain: *domain, prefix: loc.clone() })));
            }
        }
        for (number, part) in parts {
            add_few(&mut self.units[number].parts, [part]);
        }
        self.units.iter_mut().for_each(|unit| unit.parts.sort_unstable());
    }

    fn add_rule(&mut self, rule: Rule) -> usize {
        self.rules.push(rule);
        self.rules.len() - 1
    }

    /// The points that belong to one domain whatever its homes hold.
    fn own_points(&self) -> Vec<(usize, Point)> {
        let control = &self.host.control;
        let mut points = Vec::new();
        for (index, domain) in self.domains.iter().enumerate() {
            points.push((index, Point { local: Vec::new(), kind: Kind::Pattern }));
            if domain.bare {
                points.push((index, Point { local: b"postmaster".to_vec(), kind: Kind::Name { listed: false } }));
            }
            if let Some(list) = control.relay_lists.get(&domain.name) {
                let mut names: Vec<_> = list.names.keys().collect();
                names.sort_unstable();
                let kind = Kind::Name { listed: true };
                points.extend(names.into_iter().map(|name| (index, Point { local: name.clone(), kind })));
            }
        }
        let mut addresses: Vec<_> = control.virtual_domains.keys().filter_map(|key| split_address(key)).collect();
        addresses.sort_unstable();
        for (local, domain) in addresses {
            if let Some(index) = self.domain(domain)
                && !local.is_empty()
            {
                points.push((index, Point { local: local.to_vec(), kind: Kind::Name { listed: true } }));
            }
        }
        points
    }

    /// The domains with a prefix of their own that points of this unit may belong to.
    fn contributions_of(&self, unit: &Unit) -> Vec<usize> {
        let mut found = BTreeSet::new();
        let locs = unit.rules.iter().map(|rule| &self.rules[*rule].loc);
        for loc in locs {
            self.place(loc, |domain, _| {
                found.insert(domain);
            });
            found.extend(self.domains_below(loc));
        }
        for point in &unit.placed {
            self.place(&point.local, |domain, _| {
                found.insert(domain);
            });
        }
        found.extend(unit.own.iter().map(|(domain, _)| *domain));
        found.extend(unit.vpopmail_domains.iter().filter_map(|(domain, _)| self.domain(domain)));
        found.retain(|domain| self.leaves_early(*domain));
        found.into_iter().collect()
    }

    /// Whether the domain's table can be finished before all homes have been read: local domains hear of every home.
    fn leaves_early(&self, domain: usize) -> bool {
        self.domains[domain].prefix.as_ref().is_some_and(|prefix| !prefix.is_empty())
    }

    /// Finds every domain in which this whole local part (as qmail-lspawn sees it) stands for an address, and the local
    /// part of that address.
    fn place<'l>(&self, whole: &'l [u8], mut found: impl FnMut(usize, &'l [u8])) {
        let cuts = (0..whole.len()).filter(|at| whole[*at] == b'-').map(|at| at + 1);
        for cut in std::iter::once(0).chain(cuts) {
            self.domains_at(&whole[..cut]).for_each(|domain| found(domain, &whole[cut..]));
        }
    }

    /// The address that stands for a point; a pattern's is one that nobody listed.
    fn address(&self, domain: usize, point: &Point) -> Vec<u8> {
        let word = if point.kind == Kind::Pattern { &self.fresh_word[..] } else { b"" };
        join_address(&[&point.local[..], word].concat(), &self.domains[domain].name)
    }

    /// Reads one unit's home, asks delivery about every point in it, and lays out what nobody else contributes to.
    pub fn ask(&self, unit: &Unit, homes: &dyn Homes, common: &Common) -> Answers {
        let mut points: Vec<(usize, Point)> = unit.own.clone();
        let mut spare = self.host.layout.root.bounds.names;
        let mut place = |point: &Point| {
            self.place(&point.local, |domain, local| {
                // The empty pattern is every domain's own; an empty name is none.
                if !local.is_empty() {
                    points.push((domain, Point { local: local.to_vec(), kind: point.kind }));
                }
            });
        };
        unit.placed.iter().for_each(&mut place);
        let home = unit.home.as_ref().map(|path| homes.home(path));
        let mut alike: BTreeMap<usize, Judged<'_>> = BTreeMap::new();
        if let Some(home) = &home {
            if let HomeState::Listed(_, dot_qmails) = &home.state {
                let mut stems: HashMap<&[u8], Vec<Stem>> = HashMap::new();
                for rule in unit.rules.iter().map(|rule| &self.rules[*rule]) {
                    let stems = stems.entry(&rule.dash).or_insert_with(|| dot_qmails.stems(&rule.dash));
                    let found = stem_points(rule, stems, &mut spare);
                    found.iter().for_each(&mut place);
                }
            }
            if let Mailboxes::Known(mailboxes) = &home.mailboxes {
                for (domain, uid) in &unit.vpopmail_domains {
                    let Some(index) = self.domain(domain) else { continue };
                    let (its, others) = self.alike(index, *uid, unit, home, mailboxes.usable(), homes);
                    let others = self.mailbox_points(index, *uid, &others);
                    points.extend(others.into_iter().map(|point| (index, point)));
                    alike.insert(index, its);
                }
            }
        }
        // Every pattern is a name too: what it begins with may have an answer of its own.
        let patterns = points.iter().filter(|(_, point)| point.kind == Kind::Pattern && !point.local.is_empty());
        let names = patterns.map(|(domain, point)| (*domain, point.as_name())).collect::<Vec<_>>();
        let points = points.into_iter().chain(names);
        let answers = points.map(|(domain, point)| self.answer(domain, point, homes)).collect();
        let mut found = Answers { cut: spare == 0, ..Answers::default() };
        self.lay_out_parts(unit, answers, alike, common, &mut found);
        found
    }

    /// Lays out the parts that are this unit's alone.
    fn lay_out_parts(
        &self,
        unit: &Unit,
        mut answers: Vec<Answer>,
        mut alike: BTreeMap<usize, Judged<'_>>,
        common: &Common,
        found: &mut Answers,
    ) {
        answers.sort_by_key(|answer| answer.domain);
        let mut answers = answers.into_iter().peekable();
        while let Some(first) = answers.next() {
            let domain = first.domain;
            let mut of_domain = vec![first];
            of_domain.extend(std::iter::from_fn(|| answers.next_if(|answer| answer.domain == domain)));
            let from = unit.parts.partition_point(|part| part.domain < domain);
            for part in unit.parts[from..].iter().take_while(|part| part.domain == domain) {
                let is_its = |answer: &Answer| answer.point.local.starts_with(&part.prefix);
                // What could not be read has to wait; and a listed name that has the key of all the others, for the whole
                // domain.
                let waits = |answer: &Answer| {
                    let has_its_key = self.default_prefix(&answer.point.local) == Some(&part.prefix);
                    answer.fact.doubt.is_some() || (has_its_key && answer.fact.listed)
                };
                if common.touches(part) || of_domain.iter().any(|answer| is_its(answer) && waits(answer)) {
                    continue;
                }
                let (its, others) = match part.prefix.is_empty() {
                    true => (of_domain, Vec::new()),
                    false => of_domain.into_iter().partition(is_its),
                };
                of_domain = others;
                let mut table = Table::from_answers(its);
                let LaidOut { records, notes } = self.lay_out(part, &mut table, &[]);
                let top = table.patterns.get(&part.prefix).map(|fact| fact.accepted);
                let its = if part.prefix.is_empty() { alike.remove(&domain).unwrap_or_default() } else { Vec::new() };
                let is_written = |(_, accepted): &(&[u8], bool)| *accepted || top == Some(true);
                let its = its.into_iter().filter(is_written);
                add_sorted(&mut found.records, records, its, &self.domains[domain].name);
                found.notes.extend(notes);
                found.laid_out.push(part.clone());
                if let Some(accepted) = top.filter(|_| !part.prefix.is_empty()) {
                    found.tops.push(Top { part: part.clone(), accepted });
                }
            }
            found.rest.extend(of_domain);
        }
        for (domain, (name, accepted)) in
            alike.into_iter().flat_map(|(domain, its)| its.into_iter().map(move |its| (domain, its)))
        {
            let fact = Fact { accepted, doubt: None, origin: None, listed: true };
            found.rest.push(Answer {
                domain,
                point: Point { local: name.to_vec(), kind: Kind::Name { listed: true } },
                fact,
            });
        }
    }

    /// The names of those mailboxes of a domain that delivery tells from each other by nothing but the mailbox, because they
    /// take the same way from its one rule through `.qmail-default`: with the answer, for which delivery is asked once for
    /// each kind of mailbox; in the order of their keys. And the names of the others.
    fn alike<'n>(
        &self,
        domain: usize,
        uid: u32,
        unit: &Unit,
        home: &Home,
        mailboxes: Vec<(&'n [u8], Mailbox<'n>)>,
        homes: &dyn Homes,
    ) -> (Judged<'n>, Vec<&'n [u8]>) {
        let names = |mailboxes: Vec<(&'n [u8], Mailbox<'n>)>| mailboxes.into_iter().map(|(name, _)| name).collect();
        let HomeState::Listed(_, dot_qmails) = &home.state else { return (Vec::new(), names(mailboxes)) };
        if !self.takes_one_way(domain, uid, unit) {
            return (Vec::new(), names(mailboxes));
        }
        let is_alike = |name: &[u8]| {
            name.len() <= MAX_ALIKE
                && is_legal_name(name)
                && !name.iter().any(|b| matches!(b, b'-' | b'/') || *b == self.host.layout.break_byte)
                && !dot_qmails.answers_for(name)
        };
        let (mut alike, mut others) = (Vec::with_capacity(mailboxes.len()), Vec::new());
        let mut known: Vec<((u64, bool), Option<bool>)> = Vec::new();
        for (name, mailbox) in mailboxes {
            if !is_alike(name) {
                others.push(name);
                continue;
            }
            let kind = (mailbox.flags, mailbox.broken);
            let asked = || {
                let point = Point { local: name.to_vec(), kind: Kind::Name { listed: true } };
                let fact = self.answer(domain, point, homes).fact;
                Some(fact.accepted).filter(|_| fact.doubt.is_none() && fact.origin.is_none())
            };
            let accepted = match known.iter().find(|(of, _)| *of == kind) {
                Some((_, accepted)) => *accepted,
                None => {
                    let accepted = asked();
                    known.push((kind, accepted));
                    accepted
                }
            };
            debug_assert_eq!(accepted, asked(), "{}", Shown(name));
            match accepted {
                Some(accepted) => alike.push((name, accepted)),
                None => others.push(name),
            }
            // A home of many flags is asked for each of its mailboxes.
            known.truncate(16);
        }
        // By the key: what follows a name is its @.
        alike.sort_by(|(a, _), (b, _)| a.iter().chain(b"@").cmp(b.iter().chain(b"@")));
        (alike, others)
    }

    /// Whether one rule alone, which leads into this unit's home, takes every name of the domain to vdelivermail.
    fn takes_one_way(&self, domain: usize, uid: u32, unit: &Unit) -> bool {
        let Domain { name, prefix: Some(prefix), accepted: true, bare: false } = &self.domains[domain] else {
            return false;
        };
        let mut rules = self.rules_below(prefix);
        let (Some(rule), None) = (rules.next(), rules.next()) else { return false };
        let Rule { loc, pre, dash, who } = &self.rules[rule];
        unit.rules.contains(&rule)
            && loc == prefix
            && !prefix.is_empty()
            && (&pre[..], &dash[..], who.uid) == (b"", b"-", uid)
            && !self.host.layout.qmail_ext
            && !self.host.control.relay_lists.contains_key(name)
            && !self.has_own_names.contains(name)
            && !self.has_exact_lines.contains(prefix)
    }

    /// The points that a domain's mailboxes make: one for every rule that can lead to vdelivermail with their name.
    fn mailbox_points(&self, domain: usize, uid: u32, names: &[&[u8]]) -> Vec<Point> {
        let Some(prefix) = &self.domains[domain].prefix else { return Vec::new() };
        let shorter = (0..prefix.len()).flat_map(|end| self.rules_at(&prefix[..end]));
        let mut points = Vec::new();
        for rule in shorter.chain(self.rules_below(prefix)).map(|rule| &self.rules[rule]) {
            // vdelivermail opens the mailboxes only when it runs as their uid.
            let listed = rule.who.uid == uid;
            for name in names {
                let Some(rest) = strip_pre(name, &rule.pre) else { continue };
                let whole = [&rule.loc[..], rest].concat();
                let Some(local) = whole.strip_prefix(&prefix[..]) else { continue };
                // The empty name is none, but with qmail-ext what begins with its `-` is some.
                if !local.is_empty() {
                    points.push(Point { local: local.to_vec(), kind: Kind::Name { listed } });
                }
                if self.host.layout.qmail_ext && !rest.contains(&b'-') {
                    points.push(Point { local: [local, b"-"].concat(), kind: Kind::Pattern });
                }
            }
        }
        points
    }

    /// Lays out a part of a domain's table, or the whole of it, by the parts of which nobody is listed in `tops`.
    fn lay_out(&self, part: &Part, table: &mut Table, tops: &[Top]) -> LaidOut {
        let (name, bare, accepted) = {
            let domain = &self.domains[part.domain];
            (&domain.name[..], domain.bare, domain.accepted)
        };
        let (mut records, mut notes) = (BTreeMap::new(), Vec::new());
        if bare {
            // A name with an @ in it would be another domain's address.
            let bare = table.names.iter().filter(|(local, fact)| fact.accepted && !local.contains(&b'@'));
            records.extend(bare.map(|(local, _)| (local.clone(), true)));
        }
        if accepted {
            self.widen(table, name, &mut notes);
            let mut patterns = table.written_patterns(self, &part.prefix);
            for (local, fact) in &table.names {
                let answered = table_answer(self, &patterns, local);
                // A refusal under X-default would refuse all of X-; an acceptance was widened to it.
                let worth_it = fact.accepted != answered && (fact.accepted || self.default_prefix(local).is_none());
                if worth_it || (fact.accepted && fact.listed) {
                    records.insert(join_address(local, name), fact.accepted);
                }
            }
            for Top { part, accepted } in tops {
                if *accepted != pattern_answer(self, &patterns, self.wider_prefix(&part.prefix)) {
                    records.insert(default_key(&part.prefix, name), *accepted);
                }
            }
            // Whether it is needed, the whole domain decides.
            if !part.prefix.is_empty() {
                patterns.remove(&part.prefix);
            }
            for (local, accepted) in patterns {
                let key = if local.is_empty() { join_address(b"", name) } else { default_key(&local, name) };
                records.insert(key, accepted);
            }
        }
        LaidOut { records, notes }
    }

    /// Widens to accept what the format cannot say (SPEC section 8), with a warning for each.
    fn widen(&self, table: &mut Table, domain: &[u8], notes: &mut Vec<Note>) {
        let patterns = table.patterns.iter().map(|(local, fact)| (local, fact, self.wider_prefix(local), "..."));
        let names = table.names.iter().filter_map(|(local, fact)| Some((local, fact, self.default_prefix(local)?, "")));
        let mut wider: BTreeMap<Vec<u8>, (Box<str>, String)> = BTreeMap::new();
        let patterns = patterns.filter(|(local, ..)| !self.is_key_prefix(local));
        for (local, fact, prefix, dots) in patterns.chain(names).filter(|(_, fact, ..)| fact.accepted) {
            let narrow = format!("{}{dots}", Shown(local));
            wider.entry(prefix.to_vec()).or_insert((fact.origin.clone().unwrap_or_default(), narrow));
        }
        // The answer of the next wider pattern, before any widening.
        let answered = |local: &[u8]| {
            let mut local = local;
            loop {
                match table.patterns.get(local) {
                    Some(fact) => return fact.accepted,
                    None if local.is_empty() => return false,
                    None => local = self.wider_prefix(local),
                }
            }
        };
        wider.retain(|prefix, _| !answered(prefix));
        for (prefix, (origin, narrow)) in wider {
            let (narrow, domain) = (Shown(narrow.as_bytes()), Shown(domain));
            notes.push(Note::warning(format!(
                "{origin}; the table cannot say {narrow}@{domain} alone: every {}...@{domain} without a key of its own is \
                 accepted",
                Shown(&prefix)
            )));
            let fact = Fact { accepted: true, doubt: None, origin: None, listed: false };
            table.patterns.insert(prefix, fact);
        }
    }

    fn answer(&self, domain: usize, point: Point, homes: &dyn Homes) -> Answer {
        let address = self.address(domain, &point);
        let delivery = deliver(&self.host, homes, &address, &mut Trail::unkept());
        let accepted = self.accepts(domain, &point, &delivery);
        let origin = (accepted && self.may_be_widened(&point)).then(|| self.origin(&address, homes));
        let listed = point.kind == Kind::Name { listed: true };
        Answer { domain, fact: Fact { accepted, doubt: delivery.doubt.map(Box::new), origin, listed }, point }
    }

    /// Delivery's answer, and for another host's mail the administrator's.
    fn accepts(&self, domain: usize, point: &Point, delivery: &Delivery) -> bool {
        let listed = (delivery.verdict == Verdict::Remote)
            .then(|| self.host.control.relay_lists.get(&self.domains[domain].name))
            .flatten()
            .map(|list| list.find(if point.kind == Kind::Pattern { b"" } else { &point.local }).0);
        listed.unwrap_or_else(|| delivery.accepted())
    }

    /// Whether an accepting point like this is more than the format can say.
    fn may_be_widened(&self, point: &Point) -> bool {
        match point.kind {
            Kind::Pattern => !point.local.is_empty() && !self.is_key_prefix(&point.local),
            Kind::Name { .. } => self.default_prefix(&point.local).is_some(),
        }
    }

    /// The file and line that decide about an address.
    fn origin(&self, address: &[u8], homes: &dyn Homes) -> Box<str> {
        let mut trail = Trail::kept();
        let delivery = deliver(&self.host, homes, address, &mut trail);
        let listed = relay_step(&self.host, address, &delivery).map(|(_, step)| step);
        // The last step that names a line is what somebody can change.
        let steps = trail.steps();
        let step = listed.as_ref().or(steps.iter().rfind(|step| step.line.is_some())).or(steps.last());
        step.map(ToString::to_string).unwrap_or_default().into()
    }

    /// Whether a pattern of this prefix has a key of its own.
    fn is_key_prefix(&self, local: &[u8]) -> bool {
        local.is_empty() || local.last() == Some(&self.host.layout.break_byte)
    }

    /// For a name `X-default` the `X-`, whose key is the name's own.
    fn default_prefix<'l>(&self, local: &'l [u8]) -> Option<&'l [u8]> {
        local.strip_suffix(DEFAULT).filter(|prefix| !prefix.is_empty() && self.is_key_prefix(prefix))
    }

    /// The longest prefix of a local part that can have a key, itself left out.
    fn wider_prefix<'l>(&self, local: &'l [u8]) -> &'l [u8] {
        let end = local.len().saturating_sub(1);
        let last = local[..end].iter().rposition(|b| *b == self.host.layout.break_byte);
        &local[..last.map_or(0, |at| at + 1)]
    }

    /// The point that a published key stands for, with its domain. A name `X-default` shares the key of the pattern
    /// `X-`, which says more.
    fn point_of_key(&self, key: &[u8]) -> Option<(usize, Point)> {
        let (local, domain, listed) = match split_address(key) {
            Some((local, domain)) => (local, domain, true),
            None => (key, &self.host.control.envnoathost[..], false),
        };
        let pattern = if local.is_empty() { Some(local) } else { self.default_prefix(local).filter(|_| listed) };
        let point = match pattern {
            Some(prefix) => Point { local: prefix.to_vec(), kind: Kind::Pattern },
            None => Point { local: local.to_vec(), kind: Kind::Name { listed } },
        };
        Some((self.domain(domain)?, point))
    }
}

/// Adds to a list that seldom gets more than these first ones: there are very many such lists.
fn add_few<T, const N: usize>(list: &mut Vec<T>, few: [T; N]) {
    if list.is_empty() {
        list.reserve_exact(N);
    }
    list.extend(few);
}

/// The numbers of those things that have such a name, in the order of the names, equal ones as they stand.
fn sorted_by<T>(things: &[T], name: impl Fn(&T) -> Option<&[u8]>) -> Vec<u32> {
    let number = |(number, thing)| name(thing).and_then(|_| u32::try_from(number).ok());
    let mut sorted: Vec<u32> = things.iter().enumerate().filter_map(number).collect();
    sorted.sort_by_key(|number| name(&things[*number as usize]));
    sorted.shrink_to_fit();
    sorted
}

/// The numbers from the first whose name is not before `from` on, as long as `belongs` says so.
fn run<'a>(
    sorted: &'a [u32],
    name: impl Fn(&u32) -> &'a [u8],
    from: &[u8],
    belongs: impl Fn(&[u8]) -> bool,
) -> impl Iterator<Item = usize> {
    let first = sorted.partition_point(|number| name(number) < from);
    sorted[first..].iter().take_while(move |number| belongs(name(number))).map(|number| *number as usize)
}

/// What control/validrcptto.d says about an address that delivery leaves to another host: whether it is accepted, and
/// the step that says so; `None` when it says nothing.
pub fn relay_step(host: &Host, address: &[u8], delivery: &Delivery) -> Option<(bool, Step)> {
    let address = lower(address);
    let (local, domain) = split_address(&address)?;
    let list = (delivery.verdict == Verdict::Remote).then(|| host.control.relay_lists.get(domain)).flatten()?;
    let (accepted, line) = list.find(local);
    let text = match (accepted, line) {
        (true, _) => "lists it: accepted",
        (false, Some(_)) => "lists it with a !: refused",
        (false, None) => "does not list it: refused",
    };
    let path = host.control_path("validrcptto.d").join(OsStr::from_bytes(domain));
    Some((accepted, Step { path: Some(path), line, text: text.to_owned() }))
}

/// Adds the records of one domain, and those of names in it, both in the order of their keys.
fn add_sorted<'n>(
    chunk: &mut cdb::Chunk,
    records: BTreeMap<Vec<u8>, bool>,
    names: impl Iterator<Item = (&'n [u8], bool)>,
    domain: &[u8],
) {
    let mut records = records.into_iter().peekable();
    for (name, accepted) in names {
        let is_before = |key: &[u8]| key.iter().lt(name.iter().chain(b"@").chain(domain));
        while let Some((key, accepted)) = records.next_if(|(key, _)| is_before(key)) {
            chunk.add(&[&key], &[smtpd::data_of(accepted)]);
        }
        // A mailbox may make the name of another one, by a rule that never gets to it.
        records.next_if(|(key, _)| key.iter().eq(name.iter().chain(b"@").chain(domain)));
        chunk.add(&[name, b"@", domain], &[smtpd::data_of(accepted)]);
    }
    records.for_each(|(key, accepted)| chunk.add(&[&key], &[smtpd::data_of(accepted)]));
}

/// The rest of a mailbox's name behind a rule's pre, in which `.` and `:` are one.
fn strip_pre<'n>(name: &'n [u8], pre: &[u8]) -> Option<&'n [u8]> {
    let (start, rest) = name.split_at_checked(pre.len())?;
    start.iter().zip(pre).all(|(a, b)| spelled_byte(*a) == spelled_byte(*b)).then_some(rest)
}

/// The points that the stems of a home make for one rule; `spare` is how many more spellings may be made of names that
/// have several.
fn stem_points(rule: &Rule, stems: &[Stem], spare: &mut usize) -> Vec<Point> {
    let pre = spelled(&rule.pre);
    let mut points = Vec::new();
    for stem in stems.iter().filter(|stem| stem.searched.iter().all(|perm| perm.searchable(rule.who))) {
        let prefix = stem.name.strip_suffix(DEFAULT).filter(|prefix| prefix.last().is_none_or(|last| *last == b'-'));
        if let Some(rest) = stem.name.strip_prefix(&pre[..]) {
            // A file whose name holds a `.` answers for nobody.
            let kind = Kind::Name { listed: prefix.is_none() && !rest.contains(&b'.') };
            points.extend(
                spellings(rest, spare).into_iter().map(|rest| Point { local: [&rule.loc[..], &rest].concat(), kind }),
            );
        }
        if let Some(rest) = prefix.and_then(|prefix| prefix.strip_prefix(&pre[..])) {
            for rest in spellings(rest, spare) {
                let local = [&rule.loc[..], &rest].concat();
                points.push(Point { local, kind: Kind::Pattern });
            }
        }
    }
    points
}

/// Every spelling of a stem in addresses: each `:` answers for `.` and for `:`; two of them when there are too many.
fn spellings(stem: &[u8], spare: &mut usize) -> Vec<Vec<u8>> {
    let colons: Vec<usize> = (0..stem.len()).filter(|at| stem[*at] == b':').collect();
    let spell = |is_dot: &dyn Fn(usize) -> bool| {
        let mut spelled = stem.to_vec();
        for (number, at) in colons.iter().enumerate() {
            if is_dot(number) {
                spelled[*at] = b'.';
            }
        }
        spelled
    };
    let many = 1 << colons.len().min(MAX_SPELLED_COLONS + 1);
    if colons.len() > 1 {
        *spare = spare.saturating_sub(many);
    }
    if colons.len() > MAX_SPELLED_COLONS || *spare == 0 {
        return if colons.is_empty() { vec![stem.to_vec()] } else { vec![spell(&|_| true), spell(&|_| false)] };
    }
    (0..1u32 << colons.len()).map(|dots| spell(&|number| dots >> number & 1 == 1)).collect()
}

/// A word that occurs in no name: longer than any address that qmail-smtpd takes, and made of one byte in which no loc
/// that is ever tried ends, so that none ends inside it.
fn fresh_word(host: &Host) -> Vec<u8> {
    let unused = |b: &&u8| **b != host.layout.break_byte && !host.assignments.last_bytes.contains(b);
    let byte = b"qzxjkvbywfghpmuclrdnsiotae0123456789_=!&?^{}~".iter().find(unused).unwrap_or(&b'q');
    vec![*byte; ADDRESS_MAX + 100]
}

/// No more than so many bytes of records are handed on at once.
const MAX_CHUNK: usize = 1 << 20;

/// Lays the answers out as tables, one a domain.
pub struct Tables<'a> {
    plan: &'a Plan,
    tables: HashMap<usize, Table>,
    /// How many units each domain still waits for.
    waiting: Vec<usize>,
    /// The domains whose records have left.
    written: Vec<bool>,
    notes: Vec<Note>,
    tops: Vec<Top>,
    unread: BTreeMap<Vec<u8>, Kept>,
    /// The assignments of which anything published is kept.
    kept: BTreeSet<Vec<u8>>,
}

/// What is known of one domain.
#[derive(Debug, Default)]
struct Table {
    names: BTreeMap<Vec<u8>, Fact>,
    patterns: BTreeMap<Vec<u8>, Fact>,
}

/// What came of the tables beside the records.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the format cannot say and was widened.
    pub notes: Vec<Note>,
    /// The homes that could not be read.
    pub unread: BTreeMap<Vec<u8>, Kept>,
}

/// What became of the recipients of a home that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How many published keys were kept.
    pub keys: usize,
    /// The domains of which nothing was published that could be kept: what leads there is accepted.
    pub accepted: BTreeSet<Vec<u8>>,
}

impl<'a> Tables<'a> {
    /// Empty tables.
    pub fn new(plan: &'a Plan) -> Tables<'a> {
        let mut waiting = vec![0; plan.domains.len()];
        plan.contributions.iter().flatten().for_each(|domain| waiting[*domain] += 1);
        Tables {
            plan,
            tables: HashMap::new(),
            waiting,
            written: vec![false; plan.domains.len()],
            notes: Vec::new(),
            tops: Vec::new(),
            unread: BTreeMap::new(),
            kept: BTreeSet::new(),
        }
    }

    /// Adds the answers of one unit, in the order of the plan, and hands the records of every domain that they complete
    /// to `sink`.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn add<E>(
        &mut self,
        unit: usize,
        answers: Answers,
        sink: &mut dyn FnMut(&cdb::Chunk) -> Result<(), E>,
    ) -> Result<(), E> {
        self.notes.extend(answers.notes);
        self.tops.extend(answers.tops);
        for Answer { domain, point, fact } in answers.rest {
            self.tables.entry(domain).or_default().add(point, fact);
        }
        if !answers.records.is_empty() {
            sink(&answers.records)?;
        }
        for domain in &self.plan.contributions[unit] {
            self.waiting[*domain] -= 1;
        }
        let whole = self.plan.units[unit].parts.iter().filter(|part| part.prefix.is_empty()).map(|part| part.domain);
        for domain in self.plan.contributions[unit].iter().copied().chain(whole) {
            if answers.laid_out.iter().any(|part| part.domain == domain && part.prefix.is_empty()) {
                self.written[domain] = true;
            }
            // What could not be read has to wait for the published file.
            else if self.waiting[domain] == 0 && !self.tables.get(&domain).is_some_and(Table::is_doubtful) {
                let table = self.tables.remove(&domain).unwrap_or_default();
                self.write(domain, table, sink)?;
            }
        }
        Ok(())
    }

    /// What is known after the shared units.
    pub fn common(&self) -> Common {
        let names = |table: &Table| table.names.keys().chain(table.patterns.keys()).cloned().collect();
        Common(self.tables.iter().map(|(domain, table)| (*domain, names(table))).collect())
    }

    /// Whether something could not be read, so that the published file is needed to keep entries from.
    pub fn is_doubtful(&self) -> bool {
        self.tables.values().any(Table::is_doubtful)
    }

    /// Finishes the domains that are left, keeping from the `published` file what could not be read.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn finish<E>(
        mut self,
        homes: &dyn Homes,
        published: Option<cdb::Reader<'_>>,
        sink: &mut dyn FnMut(&cdb::Chunk) -> Result<(), E>,
    ) -> Result<Outcome, E> {
        let left: Vec<usize> = (0..self.written.len()).filter(|domain| !self.written[*domain]).collect();
        let known = self.add_published(published, homes);
        for domain in left {
            let mut table = self.tables.remove(&domain).unwrap_or_default();
            self.keep(domain, &mut table, published.filter(|_| known.contains(&domain)));
            self.write(domain, table, sink)?;
        }
        Ok(Outcome { notes: self.notes, unread: self.unread })
    }

    /// Adds the points that published keys stand for to the tables in which something could not be read, where they
    /// concern what could not be read, and finds the domains of which anything is published.
    fn add_published(&mut self, published: Option<cdb::Reader<'_>>, homes: &dyn Homes) -> BTreeSet<usize> {
        let plan = self.plan;
        let doubtful = self.tables.iter().filter(|(_, table)| table.is_doubtful());
        let doubtful: HashSet<usize> = doubtful.map(|(domain, _)| *domain).collect();
        let mut known = BTreeSet::new();
        if doubtful.is_empty() {
            return known;
        }
        for record in published.iter().flat_map(|published| published.records()) {
            let Some((domain, point)) = plan.point_of_key(record.key).filter(|(domain, _)| doubtful.contains(domain))
            else {
                continue;
            };
            known.insert(domain);
            let answer = plan.answer(domain, point, homes);
            if let Some(doubt) = &answer.fact.doubt {
                self.unread.entry(doubt.home.clone()).or_default().keys += 1;
                self.kept.insert(doubt.assignment.clone());
                self.tables.entry(domain).or_default().add(answer.point, answer.fact);
            }
        }
        known
    }

    /// Puts the published file's answers in the place of those that only say "we cannot know": of a domain that it knows
    /// and an assignment of which it holds anything.
    fn keep(&mut self, domain: usize, table: &mut Table, published: Option<cdb::Reader<'_>>) {
        let plan = self.plan;
        let mut accepted: BTreeSet<Vec<u8>> = BTreeSet::new();
        let names = table.names.iter_mut().map(|(local, fact)| (local, Kind::Name { listed: true }, fact));
        let patterns = table.patterns.iter_mut().map(|(local, fact)| (local, Kind::Pattern, fact));
        for (local, kind, fact) in names.chain(patterns) {
            let Some(doubt) = fact.doubt.take() else { continue };
            match published.filter(|_| self.kept.contains(&doubt.assignment)) {
                Some(published) => {
                    let lookup = |address: &[u8]| {
                        lookup(address, plan.host.layout.break_byte, |key| published.find(key)).accepted
                    };
                    // A domain that rcpthosts does not accept has bare names only.
                    fact.accepted = match kind {
                        Kind::Name { .. } if !plan.domains[domain].accepted => lookup(local),
                        _ => lookup(&plan.address(domain, &Point { local: local.clone(), kind })),
                    };
                }
                None => {
                    accepted.insert(doubt.home);
                }
            }
        }
        for home in accepted {
            self.unread.entry(home).or_default().accepted.insert(plan.domains[domain].name.clone());
        }
    }

    /// Hands the records of one domain to the sink, in the order of their keys.
    fn write<E>(
        &mut self,
        domain: usize,
        mut table: Table,
        sink: &mut dyn FnMut(&cdb::Chunk) -> Result<(), E>,
    ) -> Result<(), E> {
        self.written[domain] = true;
        let tops: Vec<Top> = self.tops.extract_if(.., |top| top.part.domain == domain).collect();
        let whole = Part { domain, prefix: Vec::new() };
        let LaidOut { records, notes } = self.plan.lay_out(&whole, &mut table, &tops);
        self.notes.extend(notes);
        let mut chunk = cdb::Chunk::default();
        for (key, accepted) in records {
            chunk.add(&[&key], &[smtpd::data_of(accepted)]);
            // A domain may be as large as the host.
            if chunk.size() > MAX_CHUNK {
                sink(&std::mem::take(&mut chunk))?;
            }
        }
        if chunk.is_empty() { Ok(()) } else { sink(&chunk) }
    }
}

impl Table {
    fn from_answers(answers: Vec<Answer>) -> Table {
        let mut table = Table::default();
        answers.into_iter().for_each(|answer| table.add(answer.point, answer.fact));
        table
    }

    fn add(&mut self, point: Point, fact: Fact) {
        let facts = if point.kind == Kind::Pattern { &mut self.patterns } else { &mut self.names };
        let listed = fact.listed;
        facts.entry(point.local).or_insert(fact).listed |= listed;
    }

    fn is_doubtful(&self) -> bool {
        self.names.values().chain(self.patterns.values()).any(|fact| fact.doubt.is_some())
    }

    /// The patterns that need a key: those that differ from the next wider one that has one; and the widest one of a part.
    fn written_patterns(&self, plan: &Plan, widest: &[u8]) -> BTreeMap<Vec<u8>, bool> {
        let mut sorted: Vec<_> = self.patterns.iter().filter(|(local, _)| plan.is_key_prefix(local)).collect();
        sorted.sort_by_key(|(local, _)| local.len());
        let mut written = BTreeMap::new();
        for (local, fact) in sorted {
            let wider = if local.is_empty() { false } else { pattern_answer(plan, &written, plan.wider_prefix(local)) };
            if fact.accepted != wider || (local == widest && !widest.is_empty()) {
                written.insert(local.clone(), fact.accepted);
            }
        }
        written
    }
}

/// What the written patterns say about names that begin with `prefix`, which can have a key.
fn pattern_answer(plan: &Plan, written: &BTreeMap<Vec<u8>, bool>, mut prefix: &[u8]) -> bool {
    loop {
        if let Some(accepted) = written.get(prefix) {
            return *accepted;
        }
        if prefix.is_empty() {
            return false;
        }
        prefix = plan.wider_prefix(prefix);
    }
}

/// What the written patterns say about one name.
fn table_answer(plan: &Plan, written: &BTreeMap<Vec<u8>, bool>, local: &[u8]) -> bool {
    let prefix = if plan.is_key_prefix(local) { local } else { plan.wider_prefix(local) };
    pattern_answer(plan, written, prefix)
}
