//! What has to be asked: the domains, the ways into homes, the units, and which parts of the tables are one unit's alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::cdb::prefix;
use crate::decide::{Route, Trail, route};
use crate::host::Host;
use crate::host::mailboxes::Source;
use crate::host::vpopmail::{ADDRESS_MAX, is_legal_host};
use crate::text::{lower, split_address};

use super::{Domain, Kind, MAX_NOTES, Part, Plan, Point, Rule, Sorted, Twin, Unit};

impl Plan {
    /// Collects what has to be asked, from everything but the homes.
    pub fn new(host: Arc<Host>) -> Plan {
        let mut plan = Plan {
            fresh_word: fresh_word(&host),
            host,
            domains: Vec::new(),
            by_prefix: Vec::new(),
            prefix_lengths: BTreeSet::new(),
            rules: Vec::new(),
            by_loc: Vec::new(),
            last_bytes: BTreeSet::new(),
            units: Vec::new(),
            shared: 0,
            contributions: Vec::new(),
            has_own_names: HashSet::new(),
            has_exact_lines: HashSet::new(),
            most_notes: usize::MAX,
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

    /// Makes few notes of each home, as a service does, which keeps them: a customer can make as many as he has names.
    pub fn with_few_notes(self) -> Plan {
        Plan { most_notes: MAX_NOTES, ..self }
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
        names.extend(control.listed());
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
        self.prefix_lengths = self.domains.iter().filter_map(|domain| Some(domain.prefix.as_ref()?.len())).collect();
    }

    /// The number of a domain.
    pub(super) fn domain(&self, name: &[u8]) -> Option<usize> {
        self.domains.binary_search_by(|domain| domain.name[..].cmp(name)).ok()
    }

    /// The domains of this prefix.
    pub(super) fn domains_at(&self, prefix: &[u8]) -> impl Iterator<Item = usize> {
        let of = |number: u32| self.domains[number as usize].prefix.as_deref().unwrap_or_default();
        run(&self.by_prefix, of, prefix, move |found| found == prefix)
    }

    /// The domains whose prefix begins like this.
    fn domains_below(&self, prefix: &[u8]) -> impl Iterator<Item = usize> {
        let of = |number: u32| self.domains[number as usize].prefix.as_deref().unwrap_or_default();
        run(&self.by_prefix, of, prefix, move |found| found.starts_with(prefix))
    }

    /// The rules of this loc.
    pub(super) fn rules_at(&self, loc: &[u8]) -> impl Iterator<Item = usize> {
        run(&self.by_loc, |number| &self.rules[number as usize].loc, loc, move |found| found == loc)
    }

    /// The rules whose loc is a shorter beginning of this one, the shortest first.
    pub(super) fn rules_before(&self, loc: &[u8]) -> impl Iterator<Item = usize> {
        let ends = (0..loc.len()).filter(|end| *end == 0 || self.last_bytes.contains(&loc[end - 1]));
        ends.flat_map(|end| self.rules_at(&loc[..end]))
    }

    /// The rules whose loc begins like this, in the order of their locs.
    pub(super) fn rules_below(&self, loc: &[u8]) -> impl Iterator<Item = usize> {
        run(&self.by_loc, |number| &self.rules[number as usize].loc, loc, move |found| found.starts_with(loc))
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
                Route::Unlisted | Route::Decided(_) => None,
                Route::Local(assigned) => Some(assigned.home),
            };
            let is_unassigned = point.kind == Kind::Pattern && self.has_unassigned_users(index);
            unit(home, &mut |unit| {
                add_few(&mut unit.own, [(index, point.clone())]);
                unit.unassigned.extend(is_unassigned.then_some(index));
            });
        }
        self.rules.shrink_to_fit();
        self.by_loc = sorted_by(&self.rules, |rule| Some(&rule.loc));
        self.last_bytes = self.rules.iter().filter_map(|rule| rule.loc.last().copied()).collect();
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

    /// Whether a user database has users of a domain that has no line in users/assign.
    fn has_unassigned_users(&self, domain: usize) -> bool {
        let name = &self.domains[domain].name;
        self.host.build.users.snapshot().is_some_and(|snapshot| snapshot.knows(name))
            && self.host.assignments.vpopmail_domain(name).is_none()
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
            let shorter = self.rules_before(loc).any(|rule| !self.rules[rule].loc.is_empty());
            self.is_key_prefix(loc)
                && !shorter
                && others.into_iter().all(|(local, claimed)| *claimed == unit && (*local == loc || !has_rules(local)))
        };
        // Mailboxes of a local domain answer under every rule.
        let is_plain = |domain: &usize| {
            let has_line = self.host.assignments.vpopmail_domain(&self.domains[*domain].name).is_some();
            !has_line && !self.has_unassigned_users(*domain)
        };
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
        let groups: Vec<_> = self.units.iter().skip(self.shared).map(|unit| self.groups_of(unit)).collect();
        for (unit, groups) in self.units[self.shared..].iter_mut().zip(groups) {
            unit.groups = groups;
        }
    }

    /// The parts of a unit that have the same answers, because the question is the same for each: one rule alone leads
    /// there, of the same kind and into the same home, and what else is asked of the domain has the same answer.
    fn groups_of(&self, unit: &Unit) -> Vec<Vec<Twin>> {
        let Some(home) = unit.home.as_ref().filter(|_| unit.parts.len() > 1) else { return Vec::new() };
        // Where its users are not read, the published names of each domain are asked.
        if !matches!(self.host.build.users, Source::Files | Source::Snapshot(_)) {
            return Vec::new();
        }
        let mut groups: BTreeMap<(Question, Rule), Vec<Twin>> = BTreeMap::new();
        for number in unit.rules.iter().copied().filter(|rule| self.stands_alone(*rule)) {
            let rule = Rule { loc: Vec::new(), ..self.rules[number].clone() };
            let loc = &self.rules[number].loc;
            let is_looping = rule.pre == *loc;
            let whole = self.domains_at(loc).map(|domain| Part { domain, prefix: Vec::new() });
            let below = self.domains_at(b"").map(|domain| Part { domain, prefix: loc.clone() });
            for part in whole.chain(below).filter(|part| unit.parts.binary_search(part).is_ok()) {
                let Some(asked) = self.asked_of(&part, home) else { continue };
                let question = Question { asked, is_looping };
                groups.entry((question, rule.clone())).or_default().push(Twin { part, rule: number });
            }
        }
        let mut groups: Vec<Vec<Twin>> = groups.into_values().filter(|group| group.len() > 1).collect();
        groups.iter_mut().for_each(|group| group.sort_unstable());
        groups
    }

    /// Whether this is a line of users/assign to which all that begins with its loc is assigned, and no domain has a
    /// prefix that is longer, or a shorter beginning of it.
    fn stands_alone(&self, rule: usize) -> bool {
        let loc = &self.rules[rule].loc;
        let mut below = self.rules_below(loc);
        let shorter = self.prefix_lengths.range(1..loc.len()).any(|end| self.domains_at(&loc[..*end]).next().is_some());
        // A name with an @ in it is another domain's address.
        loc.len() > 1
            && loc.ends_with(b"-")
            && !loc.contains(&b'@')
            && self.host.assignments.wildcards.contains_key(loc)
            && (below.next(), below.next()) == (Some(rule), None)
            && self.rules_before(loc).all(|rule| self.rules[rule].loc.is_empty())
            && !self.has_exact_lines.contains(loc)
            && self.domains_below(loc).all(|domain| self.domains[domain].prefix.as_ref() == Some(loc))
            && !shorter
    }

    /// What is asked of a part's domain beside its names, by a rule that leads into this home; `None` when that is more
    /// than other domains are asked.
    fn asked_of(&self, part: &Part, home: &[u8]) -> Option<OfDomain> {
        let Domain { name, accepted, bare, .. } = &self.domains[part.domain];
        let control = &self.host.control;
        let has_list = control.relay_lists.contains_key(name) || control.unusable_list(name).is_some();
        if has_list || self.has_own_names.contains(name) || name.contains(&b'@') {
            return None;
        }
        if !part.prefix.is_empty() {
            return Some(OfDomain::One(part.domain));
        }
        let line = self.host.assignments.vpopmail_domain(name);
        // Another home has its mailboxes.
        let is_elsewhere = line.is_some_and(|line| line.home != home);
        (*accepted && !bare && !is_elsewhere && !self.has_unassigned_users(part.domain)).then(|| OfDomain::Each {
            uid: line.map(|line| line.who.uid),
            user: line.map(|line| line.user.clone()),
            is_legal: is_legal_host(name),
        })
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
    pub(super) fn leaves_early(&self, domain: usize) -> bool {
        self.domains[domain].prefix.as_ref().is_some_and(|prefix| !prefix.is_empty())
    }

    /// Finds every domain in which this whole local part (as qmail-lspawn sees it) stands for an address, and the local
    /// part of that address.
    pub(super) fn place<'l>(&self, whole: &'l [u8], mut found: impl FnMut(usize, &'l [u8])) {
        let cuts = (0..whole.len()).filter(|at| whole[*at] == b'-').map(|at| at + 1);
        for cut in std::iter::once(0).chain(cuts).filter(|cut| self.prefix_lengths.contains(cut)) {
            self.domains_at(&whole[..cut]).for_each(|domain| found(domain, &whole[cut..]));
        }
    }
}

/// What decides about all names of a part beside its rule.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Question {
    asked: OfDomain,
    /// Whether vdelivermail is given the whole local part as the name, and so refuses it.
    is_looping: bool,
}

/// What is asked of a domain.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum OfDomain {
    /// It is the same one for all parts, a local one.
    One(usize),
    /// What vdelivermail asks of the domain of its address.
    Each {
        /// The uid of its line in users/assign, if any.
        uid: Option<u32>,
        /// The user of that line: the domain under which a user database has its users, and what a program line knows as `$USER`.
        user: Option<Vec<u8>>,
        /// Whether vpopmail takes its bytes.
        is_legal: bool,
    },
}

/// Adds to a list that seldom gets more than these first ones: there are very many such lists.
fn add_few<T, const N: usize>(list: &mut Vec<T>, few: [T; N]) {
    if list.is_empty() {
        list.reserve_exact(N);
    }
    list.extend(few);
}

/// The numbers of those things that have such a name, in the order of the names, equal ones as they stand.
fn sorted_by<T>(things: &[T], name: impl Fn(&T) -> Option<&[u8]>) -> Sorted {
    let number = |(number, thing)| Some((prefix(name(thing)?), u32::try_from(number).ok()?));
    let mut sorted: Sorted = things.iter().enumerate().filter_map(number).collect();
    sorted.sort_by_key(|(prefix, number)| (*prefix, name(&things[*number as usize])));
    sorted.shrink_to_fit();
    sorted
}

/// The numbers from the first whose name is not before `from` on, as long as `belongs` says so.
fn run<'a>(
    sorted: &'a [(u64, u32)],
    name: impl Fn(u32) -> &'a [u8],
    from: &[u8],
    belongs: impl Fn(&[u8]) -> bool,
) -> impl Iterator<Item = usize> {
    let wanted = prefix(from);
    let is_before = |(prefix, number): &(u64, u32)| *prefix < wanted || *prefix == wanted && name(*number) < from;
    let first = sorted.partition_point(is_before);
    sorted[first..]
        .iter()
        .map(|(_, number)| *number)
        .take_while(move |number| belongs(name(*number)))
        .map(|n| n as usize)
}

/// A word that occurs in no name: longer than any address that qmail-smtpd takes, and made of one byte in which no loc
/// that is ever tried ends, so that none ends inside it.
fn fresh_word(host: &Host) -> Vec<u8> {
    let unused = |b: &&u8| **b != host.layout.break_byte && !host.assignments.last_bytes.contains(b);
    let byte = b"qzxjkvbywfghpmuclrdnsiotae0123456789_=!&?^{}~".iter().find(unused).unwrap_or(&b'q');
    vec![*byte; ADDRESS_MAX + 100]
}
