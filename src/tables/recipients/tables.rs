//! The answers laid out as tables: the fewest keys that say them, and every accepted name that people look for.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::cdb;
use crate::error::Trouble;
use crate::host::Homes;
use crate::report::{Code, Note};
use crate::tables::smtpd::{OTHER, Says, default_key, lookup};
use crate::text::{DEFAULT, Shown, join_address, split_address};

use super::ask::Shares;
use super::{Answer, Answers, Common, Fact, Judged, Kind, Part, Plan, Point, Top, Twin, Unit};

/// No more than so many bytes of records are handed on at once.
const MAX_CHUNK: usize = 1 << 20;

/// The records of one part of the tables.
struct LaidOut {
    records: BTreeMap<Vec<u8>, Says>,
    widened: Vec<Widened>,
}

/// A point that the format cannot say, and the prefix that is accepted for it.
struct Widened {
    point: Point,
    /// The file and line behind it.
    origin: Box<str>,
    prefix: Vec<u8>,
    /// Whether this process may not read something that decides about the part, and is not root.
    denied: bool,
}

/// What came of the first part of a group, for the others.
struct Done {
    /// The number of its records.
    chunk: usize,
    top: Option<Says>,
    widened: Vec<Widened>,
}

impl Widened {
    fn note(&self, domain: &[u8]) -> Note {
        let dots = if self.point.kind == Kind::Pattern { "..." } else { "" };
        let narrow = format!("{}{dots}", Shown(&self.point.local));
        let (narrow, domain) = (Shown(narrow.as_bytes()), Shown(domain));
        Note::warning(format!(
            "{}; the table cannot say {narrow}@{domain} alone: every {}...@{domain} without a key of its own is accepted",
            self.origin,
            Shown(&self.prefix)
        )).of(Code::AddressWidened)
        .but_denied(self.denied)
    }
}

impl Plan {
    /// Lays out the parts that are this unit's alone.
    pub(super) fn lay_out_parts(
        &self,
        unit: &Unit,
        answers: Vec<Answer>,
        mut alike: BTreeMap<usize, Judged<'_>>,
        common: &Common,
        (shares, homes): (&Shares<'_>, &dyn Homes),
        found: &mut Answers,
    ) {
        let mut by_domain: BTreeMap<usize, Vec<Answer>> = BTreeMap::new();
        answers.into_iter().for_each(|answer| by_domain.entry(answer.domain).or_default().push(answer));
        for part in shares.others() {
            by_domain.entry(part.domain).or_default();
        }
        // By the first part of a group.
        let mut groups_done: BTreeMap<&Part, Done> = BTreeMap::new();
        for (domain, mut of_domain) in by_domain {
            let from = unit.parts.partition_point(|part| part.domain < domain);
            for part in unit.parts[from..].iter().take_while(|part| part.domain == domain) {
                if let Some(first) = shares.first_of(part) {
                    if let Some(done) = groups_done.get(first) {
                        self.lay_out_again(done, first, part, homes, found);
                    }
                    continue;
                }
                let is_its = |answer: &Answer| answer.point.local.starts_with(&part.prefix);
                // What could not be read has to wait; and a listed name that has the key of all the others, for the whole
                // domain.
                let waits = |answer: &Answer| {
                    (is_its(answer) && answer.fact.doubt.is_some()) || self.decides_outside(answer, part)
                };
                if common.touches(part) || of_domain.iter().any(waits) {
                    continue;
                }
                let (its, others) = match part.prefix.is_empty() {
                    true => (of_domain, Vec::new()),
                    false => of_domain.into_iter().partition(is_its),
                };
                of_domain = others;
                let group = shares.group(part);
                debug_assert!(group.is_none_or(|group| its.iter().all(|answer| self.is_shared(answer, group, homes))));
                let mut table = Table::from_answers(its);
                let LaidOut { records, mut widened } = self.lay_out(part, &mut table, &[]);
                let top = table.patterns.get(&part.prefix).map(|fact| fact.says);
                let its = if part.prefix.is_empty() { alike.remove(&domain).unwrap_or_default() } else { Vec::new() };
                let name = &self.domains[domain].name;
                let bytes = its.iter().map(|(its, _)| its.len() + 1 + name.len() + 1).sum();
                let is_written = |(_, says): &(&[u8], Says)| says.accepts() || top.is_some_and(Says::accepts);
                let mut of_group = cdb::Chunk::default();
                let chunk = if group.is_some() { &mut of_group } else { found.records.own() };
                chunk.reserve(its.len(), bytes);
                add_sorted(chunk, records, its.into_iter().filter(is_written), name);
                for widened in &mut widened {
                    found.note(self.most_notes, || {
                        widened.origin = self.origin(&self.address(domain, &widened.point), homes);
                        widened.note(name)
                    });
                }
                found.add_part(part, top);
                if group.is_some() {
                    let frame = self.frame(part);
                    let Some(inside) = frame.take_out(&of_group) else {
                        found.is_unlike = true;
                        continue;
                    };
                    let chunk = found.records.keep(inside);
                    found.records.copy(chunk, frame);
                    groups_done.insert(part, Done { chunk, top, widened });
                }
            }
            found.rest.extend(of_domain);
        }
        // What lays these out later reads no home directory.
        self.add_origins(&mut found.rest, homes);
        found.is_unlike |= groups_done.len() < shares.len();
        found.rest.extend(of_alike(alike));
    }

    /// Lays out another part of a group.
    fn lay_out_again(&self, done: &Done, first: &Part, part: &Part, homes: &dyn Homes, found: &mut Answers) {
        found.records.copy(done.chunk, self.frame(part));
        if found.open.contains(&first.domain) {
            found.open.insert(part.domain);
        }
        for Widened { point, prefix, denied, .. } in &done.widened {
            found.note(self.most_notes, || {
                let point = Point { local: moved(&point.local, first, part), kind: point.kind };
                let origin = self.origin(&self.address(part.domain, &point), homes);
                let widened = Widened { point, origin, prefix: moved(prefix, first, part), denied: *denied };
                widened.note(&self.domains[part.domain].name)
            });
        }
        found.add_part(part, done.top);
    }

    /// What stands around the local parts of a part, where its part of the tables is like others.
    fn frame(&self, part: &Part) -> cdb::Frame {
        cdb::Frame { head: part.prefix.clone(), domain: self.domains[part.domain].name.clone() }
    }

    /// Whether the last part of a group has the answer of the first one.
    fn is_shared(&self, answer: &Answer, group: &[Twin], homes: &dyn Homes) -> bool {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return false };
        let point = Point { local: moved(&answer.point.local, &first.part, &last.part), kind: answer.point.kind };
        let fact = self.answer(last.part.domain, point, homes).fact;
        (fact.says, fact.doubt, fact.unknown) == (answer.fact.says, answer.fact.doubt.clone(), answer.fact.unknown)
    }

    /// Lays out a part of a domain's table, or the whole of it, by the parts of which nobody is listed in `tops`.
    fn lay_out(&self, part: &Part, table: &mut Table, tops: &[Top]) -> LaidOut {
        let (name, bare, accepted) = {
            let domain = &self.domains[part.domain];
            (&domain.name[..], domain.bare, domain.accepted)
        };
        let (mut records, mut widened) = (BTreeMap::new(), Vec::new());
        if bare {
            // A name with an @ in it would be another domain's address.
            let bare = table.names.iter().filter(|(local, fact)| fact.accepted() && !local.contains(&b'@'));
            records.extend(bare.map(|(local, fact)| (local.clone(), fact.says)));
        }
        if accepted {
            widened = self.widen(table);
            let mut patterns = table.written_patterns(self, &part.prefix);
            for (local, fact) in &table.names {
                let answered = table_answer(self, &patterns, local);
                // The key of X-default is that of all of X-: a refusal would refuse them, and an acceptance was widened to it.
                let prefix = self.default_prefix(local);
                let says = prefix.map_or(fact.says, |prefix| pattern_answer(self, &patterns, prefix));
                let worth_it = fact.says != answered && prefix.is_none();
                if worth_it || (fact.accepted() && fact.listed) {
                    records.insert(join_address(local, name), says);
                }
            }
            for Top { part, says } in tops {
                if *says != pattern_answer(self, &patterns, self.wider_prefix(&part.prefix)) {
                    records.insert(default_key(&part.prefix, name), *says);
                }
            }
            // Whether it is needed, the whole domain decides.
            if !part.prefix.is_empty() {
                patterns.remove(&part.prefix);
            }
            for (local, says) in patterns {
                let key = if local.is_empty() { join_address(b"", name) } else { default_key(&local, name) };
                records.insert(key, says);
            }
        }
        LaidOut { records, widened }
    }

    /// Widens to accept what the format cannot say (docs/rules.md, 8.6).
    fn widen(&self, table: &mut Table) -> Vec<Widened> {
        let patterns = table.patterns.iter().map(|(local, fact)| (local, fact, Kind::Pattern));
        let names = table.names.iter().map(|(local, fact)| (local, fact, Kind::Name { listed: fact.listed }));
        let mut wider: BTreeMap<Vec<u8>, (Box<str>, Point)> = BTreeMap::new();
        for (local, fact, kind) in patterns.chain(names).filter(|(_, fact, _)| fact.accepted()) {
            let Some(prefix) = self.widened(kind, local) else { continue };
            let point = || Point { local: local.clone(), kind };
            wider.entry(prefix.to_vec()).or_insert_with(|| (fact.origin.clone().unwrap_or_default(), point()));
        }
        // The answer of the next wider pattern, before any widening.
        let answered = |local: &[u8]| {
            let mut local = local;
            loop {
                match table.patterns.get(local) {
                    Some(fact) => return fact.accepted(),
                    None if local.is_empty() => return false,
                    None => local = self.wider_prefix(local),
                }
            }
        };
        wider.retain(|prefix, _| !answered(prefix));
        let denied = table.patterns.values().chain(table.names.values()).any(|fact| fact.unknown);
        let widened = wider.into_iter().map(|(prefix, (origin, point))| Widened { point, origin, prefix, denied });
        let widened: Vec<Widened> = widened.collect();
        for Widened { prefix, .. } in &widened {
            let fact = Fact { says: OTHER, doubt: None, origin: None, listed: false, unknown: false, open: false };
            table.patterns.insert(prefix.clone(), fact);
        }
        widened
    }

    /// The prefix of the pattern that an accepting point like this is widened to, when it is more than the format can say.
    pub(super) fn widened<'l>(&self, kind: Kind, local: &'l [u8]) -> Option<&'l [u8]> {
        match kind {
            Kind::Pattern => (!self.is_key_prefix(local)).then(|| self.wider_prefix(local)),
            Kind::Name { .. } => self.default_prefix(local),
        }
    }

    /// Whether a pattern of this prefix has a key of its own.
    pub(super) fn is_key_prefix(&self, local: &[u8]) -> bool {
        local.is_empty() || local.last() == Some(&self.host.layout.break_byte)
    }

    /// For a name `X-default` the `X-`, whose key is the name's own.
    pub(super) fn default_prefix<'l>(&self, local: &'l [u8]) -> Option<&'l [u8]> {
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

/// The answers for names that have them alike, by domain.
pub(super) fn of_alike(alike: BTreeMap<usize, Judged<'_>>) -> impl Iterator<Item = Answer> {
    let of_domain = |(domain, names): (usize, Judged<'_>)| {
        let answer = |(name, says): (&[u8], Says)| {
            let fact = Fact { says, doubt: None, origin: None, listed: true, unknown: false, open: false };
            Answer { domain, point: Point { local: name.to_vec(), kind: Kind::Name { listed: true } }, fact }
        };
        names.into_iter().map(answer).collect::<Vec<_>>()
    };
    alike.into_iter().flat_map(of_domain)
}

/// A local part of one part of a group, as another part has it.
fn moved(local: &[u8], from: &Part, to: &Part) -> Vec<u8> {
    [&to.prefix[..], local.strip_prefix(&from.prefix[..]).unwrap_or(local)].concat()
}

/// Adds the records of one domain, and those of names in it, both in the order of their keys.
fn add_sorted<'n>(
    chunk: &mut cdb::Chunk,
    records: BTreeMap<Vec<u8>, Says>,
    names: impl Iterator<Item = (&'n [u8], Says)>,
    domain: &[u8],
) {
    let mut records = records.into_iter().peekable();
    for (name, says) in names {
        let is_before = |key: &[u8]| key.iter().lt(name.iter().chain(b"@").chain(domain));
        while let Some((key, says)) = records.next_if(|(key, _)| is_before(key)) {
            chunk.add(&[&key], &[says.data()]);
        }
        // A mailbox may make the name of another one, by a rule that never gets to it.
        records.next_if(|(key, _)| key.iter().eq(name.iter().chain(b"@").chain(domain)));
        chunk.add(&[name, b"@", domain], &[says.data()]);
    }
    records.for_each(|(key, says)| chunk.add(&[&key], &[says.data()]));
}

/// A published table to keep keys from: what cannot be read stays as it is published.
pub trait PublishedKeys {
    /// Whether there is any key of the domain.
    fn has(&self, domain: &[u8]) -> bool;
    /// The keys of a domain that begin like this; those without a domain belong to control/envnoathost.
    fn of_domain(&self, domain: &[u8], prefix: &[u8]) -> Vec<Vec<u8>>;
    /// The data of a key.
    fn find(&self, key: &[u8]) -> Option<Vec<u8>>;
}

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
    /// The parts that units laid out with published answers, and the assignments of which they kept anything.
    retained: Vec<Part>,
    kept: BTreeSet<Vec<u8>>,
}

/// Puts published answers in the place of those that nobody knows.
struct Keeper<'a> {
    plan: &'a Plan,
    published: Option<&'a dyn PublishedKeys>,
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
    /// Why it could not be read; by whom it is asked for may make a difference.
    pub causes: BTreeSet<Trouble>,
}

/// So many causes of one home are told.
const MAX_CAUSES: usize = 3;

impl Kept {
    /// Adds what became of more recipients of the same home.
    pub fn add(&mut self, other: &Kept) {
        self.keys += other.keys;
        self.accepted.extend(other.accepted.iter().cloned());
        other.causes.iter().for_each(|cause| self.add_cause(cause));
    }

    fn add_cause(&mut self, cause: &Trouble) {
        if self.causes.len() < MAX_CAUSES && !self.causes.contains(cause) {
            self.causes.insert(cause.clone());
        }
    }
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
            retained: Vec::new(),
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
        self.retained.extend(answers.retained);
        self.kept.extend(answers.kept);
        for Answer { domain, point, fact } in answers.rest {
            self.tables.entry(domain).or_default().add(point, fact);
        }
        answers.records.lay_out(sink)?;
        let is_whole = |part: &&Part| part.prefix.is_empty();
        let laid_out: HashSet<usize> = answers.laid_out.iter().filter(is_whole).map(|part| part.domain).collect();
        for domain in &self.plan.contributions[unit] {
            self.waiting[*domain] -= 1;
        }
        let whole = self.plan.units[unit].parts.iter().filter(|part| part.prefix.is_empty()).map(|part| part.domain);
        for domain in self.plan.contributions[unit].iter().copied().chain(whole) {
            if laid_out.contains(&domain) {
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
        published: Option<&dyn PublishedKeys>,
        sink: &mut dyn FnMut(&cdb::Chunk) -> Result<(), E>,
    ) -> Result<Outcome, E> {
        let left: Vec<usize> = (0..self.written.len()).filter(|domain| !self.written[*domain]).collect();
        let mut keeper = Keeper::new(self.plan, published);
        keeper.kept = std::mem::take(&mut self.kept);
        let whole = |domain: usize| Part { domain, prefix: Vec::new() };
        let mut known = BTreeSet::new();
        for domain in &left {
            let its = self.retained.iter().filter(|part| part.domain == *domain);
            let prefixes: HashSet<&[u8]> = its.map(|part| &part.prefix[..]).collect();
            let elsewhere = |point: &Point| (0..=point.local.len()).any(|end| prefixes.contains(&point.local[..end]));
            let table = self.tables.entry(*domain).or_default();
            known.extend(keeper.add_published(&whole(*domain), table, homes, &elsewhere).then_some(*domain));
        }
        for domain in left {
            let mut table = self.tables.remove(&domain).unwrap_or_default();
            keeper.keep(domain, &mut table, known.contains(&domain));
            self.write(domain, table, sink)?;
        }
        Ok(Outcome { notes: self.notes, unread: keeper.unread })
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
        let LaidOut { records, widened } = self.plan.lay_out(&whole, &mut table, &tops);
        let name = &self.plan.domains[domain].name;
        self.notes.extend(widened.iter().map(|widened| widened.note(name)));
        let mut chunk = cdb::Chunk::default();
        for (key, says) in records {
            chunk.add(&[&key], &[says.data()]);
            // A domain may be as large as the host.
            if chunk.size() > MAX_CHUNK {
                sink(&std::mem::take(&mut chunk))?;
            }
        }
        if chunk.is_empty() { Ok(()) } else { sink(&chunk) }
    }
}

impl Plan {
    /// Lays out those parts of this unit alone in which something could not be read, with what is published of them in the
    /// place of that: so they stand where they would stand if it could be read. Gives what was kept, by home.
    pub fn retain(
        &self,
        unit: &Unit,
        answers: &mut Answers,
        homes: &dyn Homes,
        (published, common): (Option<&dyn PublishedKeys>, &Common),
    ) -> BTreeMap<Vec<u8>, Kept> {
        let mut keeper = Keeper::new(self, published);
        let mut rest: BTreeMap<usize, Vec<Answer>> = BTreeMap::new();
        std::mem::take(&mut answers.rest)
            .into_iter()
            .for_each(|answer| rest.entry(answer.domain).or_default().push(answer));
        let mut tables: Vec<(&Part, Table, bool)> = Vec::new();
        for part in unit.parts.iter().filter(|part| !common.touches(part)) {
            let Some(of_domain) = rest.get_mut(&part.domain) else { continue };
            let is_its = |answer: &Answer| part.has(answer.domain, &answer.point.local);
            let is_doubtful = |answer: &Answer| is_its(answer) && answer.fact.doubt.is_some();
            if !of_domain.iter().any(is_doubtful) || of_domain.iter().any(|answer| self.decides_outside(answer, part)) {
                continue;
            }
            let (its, others) = std::mem::take(of_domain).into_iter().partition(is_its);
            *of_domain = others;
            let mut table = Table::from_answers(its);
            let is_published = keeper.add_published(part, &mut table, homes, &|_| false);
            tables.push((part, table, is_published));
        }
        for (part, mut table, is_published) in tables {
            keeper.keep(part.domain, &mut table, is_published);
            rest.entry(part.domain).or_default().extend(table.into_answers(part.domain));
            answers.retained.push(part.clone());
        }
        let rest = rest.into_values().flatten().collect();
        self.lay_out_parts(unit, rest, BTreeMap::new(), common, (&Shares::default(), homes), answers);
        answers.kept = keeper.kept;
        keeper.unread
    }

    /// Whether this answer is a listed name of the part that has the key of all others in it: the whole domain decides.
    fn decides_outside(&self, answer: &Answer, part: &Part) -> bool {
        part.has(answer.domain, &answer.point.local)
            && self.default_prefix(&answer.point.local) == Some(&part.prefix)
            && answer.fact.listed
    }
}

impl<'a> Keeper<'a> {
    fn new(plan: &'a Plan, published: Option<&'a dyn PublishedKeys>) -> Keeper<'a> {
        Keeper { plan, published, unread: BTreeMap::new(), kept: BTreeSet::new() }
    }

    /// Adds the points that published keys of a part stand for to its table, if something could not be read there, where they
    /// concern what could not be read, and are not `elsewhere`. Says whether anything of the domain is published.
    fn add_published(
        &mut self,
        part: &Part,
        table: &mut Table,
        homes: &dyn Homes,
        elsewhere: &dyn Fn(&Point) -> bool,
    ) -> bool {
        let plan = self.plan;
        let Some(published) = self.published.filter(|_| table.is_doubtful()) else { return false };
        let name = &plan.domains[part.domain].name;
        for key in published.of_domain(name, &part.prefix) {
            let Some((domain, point)) = plan.point_of_key(&key) else { continue };
            if !part.has(domain, &point.local) || elsewhere(&point) {
                continue;
            }
            let mut answer = plan.answer(part.domain, point, homes);
            plan.add_origins(std::slice::from_mut(&mut answer), homes);
            if let Some(doubt) = &answer.fact.doubt {
                let kept = self.unread.entry(doubt.home.clone()).or_default();
                kept.keys += 1;
                kept.add_cause(&doubt.cause);
                self.kept.insert(doubt.assignment.clone());
                table.add(answer.point, answer.fact);
            }
        }
        published.has(name)
    }

    /// Puts the published file's answers in the place of those that only say "we cannot know": of a domain of which anything
    /// is published and an assignment of which it holds anything.
    fn keep(&mut self, domain: usize, table: &mut Table, is_published: bool) {
        let plan = self.plan;
        let published = self.published.filter(|_| is_published);
        let mut accepted: BTreeMap<Vec<u8>, Kept> = BTreeMap::new();
        let names = table.names.iter_mut().map(|(local, fact)| (local, Kind::Name { listed: true }, fact));
        let patterns = table.patterns.iter_mut().map(|(local, fact)| (local, Kind::Pattern, fact));
        for (local, kind, fact) in names.chain(patterns) {
            let Some(doubt) = fact.doubt.take() else { continue };
            let is_elsewhere = plan.host.build.users.elsewhere().is_some();
            // Its published refusals may come from files that vpopmail does not look at.
            if is_elsewhere && published.is_some() && plan.host.domains_of(&doubt.home).next().is_some() {
                continue;
            }
            match published.filter(|_| self.kept.contains(&doubt.assignment)) {
                Some(published) => {
                    let lookup =
                        |address: &[u8]| lookup(address, plan.host.layout.break_byte, |key| published.find(key)).says;
                    // A domain that rcpthosts does not accept has bare names only.
                    fact.says = match kind {
                        Kind::Name { .. } if !plan.domains[domain].accepted => lookup(local),
                        _ => lookup(&plan.address(domain, &Point { local: local.clone(), kind })),
                    };
                }
                None => accepted.entry(doubt.home).or_default().add_cause(&doubt.cause),
            }
        }
        for (home, Kept { causes, .. }) in accepted {
            let kept = self.unread.entry(home).or_default();
            kept.accepted.insert(plan.domains[domain].name.clone());
            causes.iter().for_each(|cause| kept.add_cause(cause));
        }
    }
}

impl Table {
    fn from_answers(answers: Vec<Answer>) -> Table {
        let mut table = Table::default();
        answers.into_iter().for_each(|answer| table.add(answer.point, answer.fact));
        table
    }

    fn into_answers(self, domain: usize) -> impl Iterator<Item = Answer> {
        let names = self.names.into_iter().map(|(local, fact)| (Kind::Name { listed: fact.listed }, local, fact));
        let patterns = self.patterns.into_iter().map(|(local, fact)| (Kind::Pattern, local, fact));
        names.chain(patterns).map(move |(kind, local, fact)| Answer { domain, point: Point { local, kind }, fact })
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
    fn written_patterns(&self, plan: &Plan, widest: &[u8]) -> BTreeMap<Vec<u8>, Says> {
        let mut sorted: Vec<_> = self.patterns.iter().filter(|(local, _)| plan.is_key_prefix(local)).collect();
        sorted.sort_by_key(|(local, _)| local.len());
        let mut written = BTreeMap::new();
        for (local, fact) in sorted {
            let wider = match local.is_empty() {
                true => Says::Refuses,
                false => pattern_answer(plan, &written, plan.wider_prefix(local)),
            };
            if fact.says != wider || (local == widest && !widest.is_empty()) {
                written.insert(local.clone(), fact.says);
            }
        }
        written
    }
}

/// What the written patterns say about names that begin with `prefix`, which can have a key.
fn pattern_answer(plan: &Plan, written: &BTreeMap<Vec<u8>, Says>, mut prefix: &[u8]) -> Says {
    loop {
        if let Some(says) = written.get(prefix) {
            return *says;
        }
        if prefix.is_empty() {
            return Says::Refuses;
        }
        prefix = plan.wider_prefix(prefix);
    }
}

/// What the written patterns say about one name.
fn table_answer(plan: &Plan, written: &BTreeMap<Vec<u8>, Says>, local: &[u8]) -> Says {
    let prefix = if plan.is_key_prefix(local) { local } else { plan.wider_prefix(local) };
    pattern_answer(plan, written, prefix)
}
