//! The points of one unit: found in its home, and delivery asked about each.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::cdb;
use crate::decide::{Delivery, Step, Trail, Verdict, deliver};
use crate::fs::Who;
use crate::fs::budget::{ASKED, too_many_alike, too_many_entries, too_many_steps};
use crate::host::control::Unusable;
use crate::host::dot_qmail::{DotQmails, Named, spelled, spelled_byte};
use crate::host::line::aliases::Asked;
use crate::host::mailboxes::Users;
use crate::host::mailboxes::alias::{self, Aliases};
use crate::host::vpopmail::{Mail, Mailboxes, Vpasswd, is_found, is_legal_name};
use crate::host::{Home, HomeState, Homes, Host};
use crate::tables::smtpd::{OTHER, Says, default_key};
use crate::text::{DEFAULT, Shown, join_address, lower, split_address, without_word};

use super::tables::of_alike;
use super::{
    Answer, Answers, Common, Domain, Fact, Judged, Kind, MAX_SPELLED_COLONS, Part, Plan, Point, Rule, Twin, Unit,
};

/// A mailbox with a longer name is always asked for: no limit on names is near.
const MAX_ALIKE: usize = 64;

impl Plan {
    /// Reads one unit's home, asks delivery about every point in it, and lays out what nobody else contributes to.
    pub fn ask(&self, unit: &Unit, homes: &dyn Homes, common: &Common) -> Answers {
        let groups = self.groups_at(unit, homes, common);
        let shares = Shares::new(self, &groups);
        if shares.len() > 0 {
            let asked = Asking { plan: self, unit, homes, common, shares }.ask();
            // What could not be read, for one, is kept from what is published, which is another thing for each name.
            if !asked.is_unlike || asked.too_many.is_some() {
                return asked;
            }
        }
        Asking { plan: self, unit, homes, common, shares: Shares::default() }.ask()
    }

    /// The groups of a unit, without the parts that have names beside those of the others.
    fn groups_at(&self, unit: &Unit, homes: &dyn Homes, common: &Common) -> Vec<Vec<Twin>> {
        if unit.groups.is_empty() {
            return Vec::new();
        }
        let mut named: HashSet<usize> = HashSet::new();
        let home = unit.home.as_ref().map(|path| homes.home(path));
        let has_aliases = home.iter().flat_map(|home| &home.users).any(|users| users.known_aliases().is_some());
        if has_aliases && self.rules_at(b"").next().is_some() {
            return Vec::new();
        }
        // fastforward looks for the address with its domain, and others may.
        if home.iter().any(|home| matches!(&home.state, HomeState::Listed(_, files) if files.asks_names())) {
            return Vec::new();
        }
        let users = home.iter().flat_map(|home| &home.users).map(|users| &users.mailboxes);
        for mailboxes in users.filter_map(Mailboxes::known) {
            // A mailbox whose name begins like the prefix of a domain is one there by a rule that begins like all names.
            for rule in self.rules_at(b"").map(|rule| &self.rules[rule]) {
                let rests = mailboxes.usable().filter_map(|(name, _)| strip_pre(name, &rule.pre));
                rests.for_each(|rest| self.place(rest, |domain, _| named.extend([domain])));
            }
        }
        let is_like = |twin: &&Twin| {
            let is_named = twin.part.prefix.is_empty() && named.contains(&twin.part.domain);
            !is_named && !common.touches(&twin.part)
        };
        let groups = unit.groups.iter().map(|group| group.iter().filter(is_like).cloned().collect::<Vec<_>>());
        groups.filter(|group| group.len() > 1).collect()
    }

    /// The address that stands for a point; a pattern's is one that nobody listed.
    pub(super) fn address(&self, domain: usize, point: &Point) -> Vec<u8> {
        let word = if point.kind == Kind::Pattern { &self.fresh_word[..] } else { b"" };
        [&point.local[..], word, b"@", &self.domains[domain].name].concat()
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
        (mailboxes, aliases): (&'n Vpasswd, Option<&Aliases>),
        homes: &dyn Homes,
    ) -> (Judged<'n>, Vec<&'n [u8]>) {
        let one_way = self.takes_one_way(domain, uid, unit);
        let asks_names = matches!(&home.state, HomeState::Listed(_, dot_qmails) if dot_qmails.default_asks_names());
        let one_way = one_way && !asks_names;
        let HomeState::Listed(_, dot_qmails) = &home.state else {
            return (Vec::new(), mailboxes.usable().map(|(name, _)| name).collect());
        };
        let is_alike = |name: &[u8]| {
            one_way
                && name.len() <= MAX_ALIKE
                && is_found(name)
                // The shell makes more of some bytes.
                && !name.iter().any(|b| matches!(b, b'-' | b'/' | b'*' | b'?') || *b == self.host.layout.break_byte)
                && !dot_qmails.answers_for(name)
                && !aliases.is_some_and(|aliases| aliases.has(name))
        };
        let (mut alike, mut others) = (Vec::with_capacity(mailboxes.size().0), Vec::new());
        let mut known: Vec<(Mail, Option<Says>)> = Vec::new();
        for (name, mailbox) in mailboxes.usable() {
            if !is_alike(name) {
                others.push(name);
                continue;
            }
            let kind = mailbox.mail();
            let asked = || {
                let point = Point { local: name.to_vec(), kind: Kind::Name { listed: true } };
                // Nothing is widened to a name without a break.
                let fact = self.answer(domain, point, homes).fact;
                Some(fact.says).filter(|_| fact.doubt.is_none())
            };
            let says = match known.iter().find(|(of, _)| *of == kind) {
                Some((_, says)) => *says,
                None => {
                    let says = asked();
                    known.push((kind, says));
                    says
                }
            };
            debug_assert_eq!(says, asked(), "{}", Shown(name));
            match says {
                Some(says) => alike.push((name, says)),
                None => others.push(name),
            }
        }
        alike.sort_by(|(a, _), (b, _)| by_key(a, b));
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

    /// The points that a domain's mailboxes make: one for every rule that can lead to vdelivermail with their name. `uid` is
    /// the only one that finds them, if any is.
    fn mailbox_points<'n>(
        &'n self,
        domain: usize,
        uid: Option<u32>,
        names: &'n [&[u8]],
    ) -> impl Iterator<Item = Point> + 'n {
        let prefix = self.domains[domain].prefix.as_ref().filter(|_| !names.is_empty());
        prefix.into_iter().flat_map(move |prefix| {
            let rules = self.rules_before(prefix).chain(self.rules_below(prefix)).map(|rule| &self.rules[rule]);
            rules.flat_map(move |rule| {
                // vdelivermail opens the mailboxes only when it runs as their uid.
                let listed = uid.is_none_or(|uid| rule.who.uid == uid);
                names.iter().flat_map(move |name| {
                    let rest = strip_pre(name, &rule.pre);
                    let whole = rest.map(|rest| [&rule.loc[..], rest].concat());
                    let local = whole.as_ref().and_then(|whole| whole.strip_prefix(&prefix[..]));
                    // The empty name is none, but with qmail-ext what begins with its `-` is some.
                    let name = local.filter(|local| !local.is_empty());
                    let name = name.map(|local| Point { local: local.to_vec(), kind: Kind::Name { listed } });
                    let is_base = self.host.layout.qmail_ext && rest.is_some_and(|rest| !rest.contains(&b'-'));
                    let extended = local.filter(|_| is_base);
                    let extended = extended.map(|local| Point { local: [local, b"-"].concat(), kind: Kind::Pattern });
                    name.into_iter().chain(extended)
                })
            })
        })
    }

    /// How many entries come of this: a name of a local domain is one without its domain, too.
    fn entries(&self, found: &Answers) -> usize {
        let entries = |Answer { domain, point, fact }: &Answer| match point.kind {
            Kind::Name { listed: true } if fact.accepted() && self.domains[*domain].bare => 2,
            Kind::Name { listed: true } if fact.accepted() => 1,
            Kind::Pattern => 1,
            Kind::Name { .. } => 0,
        };
        found.records.records() + found.rest.iter().map(entries).sum::<usize>()
    }

    /// The points that the aliases make which a user database has of a domain: one for every rule that can lead to
    /// vdelivermail with their name, and one for the names that an alias `X-default` answers for.
    fn alias_points<'n>(&'n self, domain: usize, aliases: Option<&'n Aliases>) -> impl Iterator<Item = Point> + 'n {
        let with_prefix = self.domains[domain].prefix.as_ref().zip(aliases);
        with_prefix.into_iter().flat_map(move |(prefix, aliases)| {
            let rules = self.rules_before(prefix).chain(self.rules_below(prefix)).map(|rule| &self.rules[rule]);
            rules.flat_map(move |rule| {
                aliases.names().filter(|name| is_legal_name(name)).flat_map(move |alias| {
                    let local_of = move |name: &[u8]| {
                        let whole = [&rule.loc[..], strip_pre(name, &rule.pre)?].concat();
                        whole.strip_prefix(&prefix[..]).map(<[u8]>::to_vec)
                    };
                    let name = local_of(alias).filter(|local| !local.is_empty());
                    let name = name.map(|local| Point { local, kind: Kind::Name { listed: true } });
                    let wildcard = alias.strip_suffix(alias::DEFAULT).filter(|rest| rest.last() == Some(&b'-'));
                    let is_base = self.host.layout.qmail_ext && !alias.contains(&b'-');
                    let base = is_base.then(|| [alias, b"-"].concat());
                    let patterns = wildcard.map(<[u8]>::to_vec).into_iter().chain(base);
                    let patterns = patterns.filter_map(move |pattern| local_of(&pattern));
                    name.into_iter().chain(patterns.map(|local| Point { local, kind: Kind::Pattern }))
                })
            })
        })
    }

    /// Whether more keys than the bound have the same hash: whoever looks one of them up reads them all.
    fn are_too_many_alike(&self, found: &Answers) -> bool {
        let bound = self.host.layout.root.bounds.alike;
        let keys = found.rest.iter().map(|Answer { domain, point, .. }| {
            let name = &self.domains[*domain].name;
            cdb::hash(&match point.kind {
                Kind::Pattern if !point.local.is_empty() => default_key(&point.local, name),
                Kind::Pattern | Kind::Name { .. } => join_address(&point.local, name),
            })
        });
        found.records.most_alike() > bound || cdb::most_alike(keys.collect()) > bound
    }

    /// The points that the published names of a domain make whose mailboxes are not read: those that lead there.
    fn kept_points(&self, domain: usize, homes: &dyn Homes) -> Vec<Point> {
        let name = &self.domains[domain].name;
        let leads_there = |point: &Point| {
            let delivery = deliver(&self.host, homes, &self.address(domain, point), &mut Trail::unkept());
            delivery.verdict == Verdict::Defer && !delivery.known && delivery.doubt.is_none()
        };
        let point = |local: &[u8]| Point { local: local.to_vec(), kind: Kind::Name { listed: true } };
        homes.kept_names(name).into_iter().map(point).filter(leads_there).collect()
    }

    pub(super) fn answer(&self, domain: usize, point: Point, homes: &dyn Homes) -> Answer {
        let address = self.address(domain, &point);
        let delivery = deliver(&self.host, homes, &address, &mut Trail::unkept());
        let says = self.says(domain, &point, &delivery);
        let listed = point.kind == Kind::Name { listed: true };
        let (unknown, doubt) = (delivery.verdict == Verdict::Unknown, delivery.doubt.map(Box::new));
        let open = says.accepts() && point.kind == Kind::Pattern && delivery.open.is_some();
        Answer { domain, fact: Fact { says, doubt, origin: None, listed, unknown, open }, point }
    }

    /// Adds to each answer that may have to be widened the file and line behind it.
    pub(super) fn add_origins(&self, answers: &mut [Answer], homes: &dyn Homes) {
        let accepted = answers.iter().enumerate().filter(|(_, answer)| answer.fact.accepted());
        let wanted: Vec<(usize, Vec<u8>)> = accepted
            .filter_map(|(at, Answer { point, .. })| Some((at, self.widened(point.kind, &point.local)?.to_vec())))
            .collect();
        if wanted.is_empty() {
            return;
        }
        // What is accepted anyway is not widened.
        let is_sure = |answer: &&Answer| {
            answer.point.kind == Kind::Pattern && answer.fact.accepted() && answer.fact.doubt.is_none()
        };
        let sure = answers.iter().filter(is_sure).map(|answer| (answer.domain, answer.point.local.clone()));
        let sure: HashSet<(usize, Vec<u8>)> = sure.collect();
        for (at, prefix) in wanted {
            let Answer { domain, point, fact } = &mut answers[at];
            if !sure.contains(&(*domain, prefix)) {
                fact.origin = Some(self.origin(&self.address(*domain, point), homes));
            }
        }
    }

    /// Delivery's answer, and for another host's mail the administrator's.
    fn says(&self, domain: usize, point: &Point, delivery: &Delivery) -> Says {
        let listed = (delivery.verdict == Verdict::Remote)
            .then(|| self.host.control.relay_lists.get(&self.domains[domain].name))
            .flatten()
            .map(|list| list.find(if point.kind == Kind::Pattern { b"" } else { &point.local }).0);
        match listed {
            Some(true) => OTHER,
            None if delivery.verdict == Verdict::Deliver => Says::Accepts(Some(delivery.taker)),
            None if delivery.accepted() => OTHER,
            Some(false) | None => Says::Refuses,
        }
    }

    /// The file and line that decide about an address.
    pub(super) fn origin(&self, address: &[u8], homes: &dyn Homes) -> Box<str> {
        let mut trail = Trail::kept();
        let delivery = deliver(&self.host, homes, address, &mut trail);
        let listed = relay_step(&self.host, address, &delivery).map(|(_, step)| step);
        // The last step that names a line is what somebody can change.
        let steps = trail.steps();
        let step = listed.as_ref().or(steps.iter().rfind(|step| step.line.is_some())).or(steps.last());
        without_word(&step.map(ToString::to_string).unwrap_or_default(), &self.fresh_word).into()
    }
}

/// The groups of a unit of which one part, the first, is asked for all.
#[derive(Default)]
pub(super) struct Shares<'g> {
    /// The groups by their first part.
    groups: HashMap<&'g Part, &'g [Twin]>,
    /// The first parts by the others.
    firsts: HashMap<&'g Part, &'g Part>,
    /// Those of the others that are domains of their own.
    domains: HashSet<usize>,
    /// Those of the others that are names of local domains, with the rule that leads there.
    names: HashSet<(usize, usize)>,
    /// The rules by their locs.
    rules: HashMap<&'g [u8], usize>,
}

impl<'g> Shares<'g> {
    fn new(plan: &'g Plan, groups: &'g [Vec<Twin>]) -> Shares<'g> {
        let mut shares = Shares::default();
        for group in groups {
            let Some((first, others)) = group.split_first() else { continue };
            shares.groups.insert(&first.part, group);
            for Twin { part, rule } in others {
                shares.firsts.insert(part, &first.part);
                match part.prefix.is_empty() {
                    true => shares.domains.extend([part.domain]),
                    false => shares.names.extend([(part.domain, *rule)]),
                }
            }
        }
        let rules = groups.iter().flatten().map(|twin| twin.rule);
        shares.rules = rules.map(|rule| (&plan.rules[rule].loc[..], rule)).collect();
        shares
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// The group of which this part is the first.
    pub(super) fn group(&self, part: &Part) -> Option<&'g [Twin]> {
        self.groups.get(part).copied()
    }

    /// The first part of the group of which this one is another.
    pub(super) fn first_of(&self, part: &Part) -> Option<&'g Part> {
        self.firsts.get(part).copied()
    }

    /// The parts that are not asked.
    pub(super) fn others(&self) -> impl Iterator<Item = &'g Part> {
        self.firsts.keys().copied()
    }

    /// Whether a point of this rule, or of none, in this domain is asked for another one.
    fn has(&self, domain: usize, rule: Option<usize>) -> bool {
        self.domains.contains(&domain) || rule.is_some_and(|rule| self.names.contains(&(domain, rule)))
    }
}

/// One unit that is asked.
struct Asking<'a> {
    plan: &'a Plan,
    unit: &'a Unit,
    homes: &'a dyn Homes,
    common: &'a Common,
    shares: Shares<'a>,
}

impl Asking<'_> {
    fn ask(&self) -> Answers {
        let Asking { plan, unit, homes, .. } = *self;
        let is_asked = |(domain, _): &&(usize, Point)| !self.shares.has(*domain, None);
        let mut points: Vec<(usize, Point)> = unit.own.iter().filter(is_asked).cloned().collect();
        let bounds = &plan.host.layout.root.bounds;
        let mut spare = bounds.names;
        for point in &unit.placed {
            self.place(point, self.shares.rules.get(&point.local[..]).copied(), &mut points);
        }
        let home = unit.home.as_ref().map(|path| homes.home(path));
        let mut alike: BTreeMap<usize, Judged<'_>> = BTreeMap::new();
        // Those behind are what the home's own files make.
        let first = points.len();
        let most = first.saturating_add(bounds.entries);
        if let Some(home) = &home {
            if let HomeState::Listed(_, dot_qmails) = &home.state {
                let mut stems: HashMap<(&[u8], Who), Vec<Vec<u8>>> = HashMap::new();
                for number in unit.rules.iter().copied().filter(|rule| self.is_any_asked(*rule)) {
                    let rule = &plan.rules[number];
                    let stems =
                        stems.entry((&rule.dash, rule.who)).or_insert_with(|| dot_qmails.stems(&rule.dash, rule.who));
                    let room = most.saturating_sub(points.len());
                    let Some(aliases) = alias_file_points(rule, dot_qmails, &mut spare, room) else {
                        return Answers::of_too_many(too_many_entries(bounds.entries));
                    };
                    for point in stem_points(rule, stems, &mut spare).into_iter().chain(aliases) {
                        self.place(&point, Some(number), &mut points);
                        if points.len() > most {
                            return Answers::of_too_many(too_many_entries(bounds.entries));
                        }
                    }
                }
            }
            for (domain, uid) in &unit.vpopmail_domains {
                let Some(index) = plan.domain(domain) else { continue };
                let mailboxes = home.mailboxes_of(plan.host.user_domain(domain));
                if let (Some(mailboxes), false) = (mailboxes.known(), self.shares.has(index, None)) {
                    let users = home.users_of(plan.host.user_domain(domain));
                    let aliases = users.and_then(Users::known_aliases);
                    let only = users.is_none_or(|users| !users.for_any_uid).then_some(*uid);
                    let room = most.saturating_sub(points.len()) + 1;
                    points.extend(plan.alias_points(index, aliases).take(room).map(|point| (index, point)));
                    let (its, others) = plan.alike(index, *uid, unit, home, (mailboxes, aliases), homes);
                    points.extend(
                        plan.mailbox_points(index, only, &others)
                            .take(most.saturating_sub(points.len()) + 1)
                            .map(|point| (index, point)),
                    );
                    alike.insert(index, its);
                    if points.len() > most {
                        return Answers::of_too_many(too_many_entries(bounds.entries));
                    }
                }
            }
        }
        for index in unit.unassigned.iter().copied() {
            let Some(users) = homes.unassigned(&plan.domains[index].name) else { continue };
            let room = most.saturating_sub(points.len()) + 1;
            points.extend(plan.alias_points(index, users.known_aliases()).take(room).map(|point| (index, point)));
            if let Some(mailboxes) = users.mailboxes.known().filter(|_| users.for_any_uid) {
                let names: Vec<&[u8]> = mailboxes.usable().map(|(name, _)| name).collect();
                let room = most.saturating_sub(points.len()) + 1;
                points.extend(plan.mailbox_points(index, None, &names).take(room).map(|point| (index, point)));
            }
            if points.len() > most {
                return Answers::of_too_many(too_many_entries(bounds.entries));
            }
        }
        if let Some(home) = &home
            && let HomeState::Listed(_, dot_qmails) = &home.state
        {
            // A pattern is asked as a name too.
            let times = |point: &Point| if point.kind == Kind::Pattern { 2 } else { 1 };
            let each = ASKED + dot_qmails.most_programs();
            let aliases = home.users.iter().find_map(Users::known_aliases);
            let tries = |local: &[u8]| dot_qmails.tries(local) + aliases.map_or(0, |aliases| aliases.tries(local));
            let asked = points[first..].iter().map(|(_, point)| times(point) * (each + tries(&point.local)));
            if home.steps.saturating_add(asked.sum()) > bounds.steps {
                return Answers::of_too_many(too_many_steps(bounds));
            }
            // What is published says these: no budget of the home's counts them.
            for (domain, _) in &unit.vpopmail_domains {
                let Some(index) = plan.domain(domain) else { continue };
                if let Mailboxes::Elsewhere(_) = home.mailboxes_of(plan.host.user_domain(domain)) {
                    points.extend(plan.kept_points(index, homes).into_iter().map(|point| (index, point)));
                }
            }
        }
        // Every pattern is a name too: what it begins with may have an answer of its own.
        let patterns = points.iter().filter(|(_, point)| point.kind == Kind::Pattern && !point.local.is_empty());
        let names = patterns.map(|(domain, point)| (*domain, point.as_name())).collect::<Vec<_>>();
        let points = points.into_iter().chain(names);
        let mut answers: Vec<Answer> = points.map(|(domain, point)| plan.answer(domain, point, homes)).collect();
        let open = answers.iter().filter(|answer| answer.fact.open).map(|answer| answer.domain).collect();
        let mut found = Answers { cut: spare == 0, open, ..Answers::default() };
        // Each rule has as many spellings; when they are too many, it counts which ones come first.
        let spelled = plan.host.layout.root.bounds.names - spare;
        found.is_unlike = spelled.saturating_mul(unit.rules.len()) >= bounds.names;
        if answers.iter().any(|answer| answer.fact.doubt.is_some()) {
            // Published answers come in the place of those that nobody knows, first: see `retain`.
            found.is_unlike |= self.shares.len() > 0;
            plan.add_origins(&mut answers, homes);
            found.rest = answers;
            found.rest.extend(of_alike(alike));
        } else {
            plan.lay_out_parts(unit, answers, alike, self.common, (&self.shares, homes), &mut found);
        }
        if plan.entries(&found) > most {
            return Answers::of_too_many(too_many_entries(bounds.entries));
        }
        if plan.are_too_many_alike(&found) {
            return Answers::of_too_many(too_many_alike(bounds));
        }
        found
    }

    /// Adds a point by whole local part, which a rule or none leads to, for every domain that it stands for an address of.
    fn place(&self, point: &Point, rule: Option<usize>, points: &mut Vec<(usize, Point)>) {
        self.plan.place(&point.local, |domain, local| {
            // The empty pattern is every domain's own; an empty name is none.
            if !local.is_empty() && !self.shares.has(domain, rule) {
                points.push((domain, Point { local: local.to_vec(), kind: point.kind }));
            }
        });
    }

    /// Whether some domain in which this rule stands for addresses is asked for itself.
    fn is_any_asked(&self, rule: usize) -> bool {
        let loc = &self.plan.rules[rule].loc;
        !self.shares.rules.contains_key(&loc[..])
            || self
                .plan
                .domains_at(loc)
                .chain(self.plan.domains_at(b""))
                .any(|domain| !self.shares.has(domain, Some(rule)))
    }
}

/// What control/validrcptto.d says about an address that delivery leaves to another host, or that nothing names its domain:
/// whether it is accepted, and the step that says so; `None` when neither says anything. What a list that cannot be used says of
/// it counts as accepted.
pub fn relay_step(host: &Host, address: &[u8], delivery: &Delivery) -> Option<(bool, Step)> {
    let address = lower(address);
    let (local, domain) = split_address(&address)?;
    let depends = |list: &&Unusable| delivery.doubt.as_ref().is_some_and(|doubt| doubt.home == list.path);
    if let Some(unusable) = host.control.unusable_list(domain).filter(depends) {
        let cause = &unusable.cause;
        let text = match cause.denied {
            true => format!("{cause}: unknown"),
            false => format!("{cause}; its domain keeps what is published"),
        };
        return Some((true, Step { path: Some(host.layout.root.path(&unusable.path)), line: None, text }));
    }
    let is_remote = delivery.verdict == Verdict::Remote;
    if is_remote && host.control.is_unnamed(domain) {
        let text = "missing, and no other file names the domain: refused".to_owned();
        return Some((false, Step { path: Some(host.control_path("rcpthosts")), line: None, text }));
    }
    let list = is_remote.then(|| host.control.relay_lists.get(domain)).flatten()?;
    let (accepted, line) = list.find(local);
    let text = match (accepted, line) {
        (true, _) => "lists it: accepted",
        (false, Some(_)) => "lists it with a !: refused",
        (false, None) => "does not list it: refused",
    };
    let path = host.control_path("validrcptto.d").join(OsStr::from_bytes(domain));
    Some((accepted, Step { path: Some(path), line, text: text.to_owned() }))
}

/// How the keys of two names of one domain are sorted: what follows a name is its @, which none of them holds.
fn by_key(a: &[u8], b: &[u8]) -> Ordering {
    let both = a.len().min(b.len());
    let next = |name: &[u8]| name.get(both).copied().unwrap_or(b'@');
    a[..both].cmp(&b[..both]).then_with(|| next(a).cmp(&next(b)))
}

/// The rest of a mailbox's name behind a rule's pre, in which `.` and `:` are one.
fn strip_pre<'n>(name: &'n [u8], pre: &[u8]) -> Option<&'n [u8]> {
    let (start, rest) = name.split_at_checked(pre.len())?;
    start.iter().zip(pre).all(|(a, b)| spelled_byte(*a) == spelled_byte(*b)).then_some(rest)
}

/// The points that the stems of a home make for one rule; `spare` is how many more spellings may be made of names that
/// have several.
fn stem_points(rule: &Rule, stems: &[Vec<u8>], spare: &mut usize) -> Vec<Point> {
    let pre = spelled(&rule.pre);
    let mut points = Vec::new();
    for stem in stems {
        let prefix = stem.strip_suffix(DEFAULT).filter(|prefix| prefix.last().is_none_or(|last| *last == b'-'));
        if let Some(rest) = stem.strip_prefix(&pre[..]) {
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

/// The points that the names in the files of fastforward and vmailmgr make for one rule. A pre that is longer than the name
/// of the file is taken off the names. `None` when there are more than `most`.
fn alias_file_points(rule: &Rule, dot_qmails: &DotQmails, spare: &mut usize, most: usize) -> Option<Vec<Point>> {
    let pre = spelled(&rule.pre);
    // Several files may make the same.
    let mut found: BTreeSet<Vec<u8>> = BTreeSet::new();
    for Named { prefix, asked, names } in dot_qmails.aliases(&rule.dash, rule.who) {
        let starts = prefix.strip_prefix(&pre[..]).map(|rest| spellings(rest, spare));
        let of_ext = |ext: &[u8]| strip_pre(ext, &pre).map(|rest| [&rule.loc[..], rest].concat());
        for name in names {
            match (asked, &starts) {
                (Asked::Recipient, _) => found.extend([name.to_vec()]),
                (Asked::Default, Some(starts)) => {
                    found.extend(starts.iter().map(|start| [&rule.loc[..], start, name].concat()));
                }
                (Asked::Default, None) => found.extend(of_ext(&[prefix, name].concat())),
                (Asked::Ext, _) => found.extend(of_ext(name)),
            }
            if found.len() > most {
                return None;
            }
        }
    }
    let point = |local| Point { local, kind: Kind::Name { listed: true } };
    Some(found.into_iter().map(point).collect())
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
