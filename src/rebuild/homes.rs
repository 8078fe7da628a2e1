//! One home at a time: read, asked everything that both tables want to know of it, and dropped.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::RandomState;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;

use crate::cdb::{Batch, Chunk, Frame};
use crate::error::{Denied, Error, Trouble, show_path};
use crate::fs::budget::time_of_thread;
use crate::fs::failures::note_error;
use crate::fs::{Folders, Stamp};
use crate::host::authvars::AuthVars;
use crate::host::control::Unusable;
use crate::host::look::Look;
use crate::host::mailboxes::Users;
use crate::host::vpopmail::{ABSENT, Mailboxes};
use crate::host::{Home, HomeState, Homes, Host};
use crate::protect::retain::Retained;
use crate::publish::{Before, Published};
use crate::report::{Code, Note};
use crate::tables::logins::{Login, Policy, Unknown};
use crate::tables::recipients::{Answers, Common, Kept, Plan, Unit};
use crate::tables::smtpd;
use crate::text::{DEFAULT, Shown, count, join_address, split_address};

/// What came of one unit.
pub struct Asked {
    /// Its recipients.
    pub answers: Answers,
    /// Its logins.
    pub logins: Batch,
    /// The names without a domain among them.
    pub bare: Vec<Vec<u8>>,
    /// When the first of its logins expires, in seconds since 1970-01-01 UTC.
    pub expiry: Option<u64>,
    /// Those of its logins whose variables control/authvars cannot tell.
    pub unknown: Unknown,
    /// What its home looked like before it was read, where that is remembered.
    pub look: Option<Look>,
    /// Whether its home is beyond its budget, so that it says what is published.
    pub is_spent: bool,
    /// The other homes that its answers depend on.
    pub others: BTreeSet<Vec<u8>>,
    /// What the user database has under its domains and those of `others`, as a number; 0 without one.
    pub users: u64,
    /// What stat(2) said of its home before it was read.
    pub stamps: Vec<Option<Stamp>>,
    /// What of it could not be read, and what is kept because of that.
    pub unread: Unread,
    /// What was left unread in the home, or not listed.
    pub notes: Vec<Note>,
}

/// Reads one home and asks everything of it.
pub fn ask(plan: &Plan, policy: &Policy<'_>, unit: &Unit, homes: &HomeReader, common: &Common) -> Asked {
    let start = time_of_thread();
    let took = || time_of_thread().saturating_sub(start);
    let mut own = unit.home.as_ref().map(|path| homes.home(path));
    let mut followed = Followed { homes, own: own.clone(), others: RefCell::default() };
    let mut answers = plan.ask(unit, &followed, common);
    // A home that makes too much makes nothing: it is as good as unread.
    if let (Some(words), Some(home)) = (&answers.too_many, &own) {
        own = Some(homes.give_up(home, words.as_str().into(), took()));
        followed.own = own.clone();
        answers = plan.ask(unit, &followed, common);
    }
    let mut unread = Unread::default();
    if answers.is_doubtful() {
        let published = homes.retained_recipients();
        unread.recipients = plan.retain(unit, &mut answers, &followed, (Some(published), common));
    }
    if let Some(Home { path, .. }) = own.as_deref().filter(|_| homes.seed().is_some()) {
        homes.note_time(path, took);
    }
    if let Some(path) = &unit.home {
        answers.note_more(&homes.0.host.layout.root.path(path));
    }
    let mut asked = Asked::of_recipients(answers, followed.others.into_inner(), unread);
    if let Some(seed) = homes.seed() {
        let all = unit.home.iter().chain(&asked.others);
        asked.users = homes.0.host.print_of_users(&mut all.map(Vec::as_slice), seed);
    }
    let (Some(path), Some(home)) = (&unit.home, own) else { return asked };
    asked.note_home(unit, path, &home, homes);
    let policy = policy.again();
    asked.add_logins(unit, path, &LoginsOf { home: &home, policy: &policy, homes });
    // It waits in memory to be added.
    asked.logins.shrink_to_fit();
    homes.forget_large(path);
    asked.expiry = policy.next_expiry();
    asked.unknown = policy.unknown();
    asked
}

impl Asked {
    /// Nothing but the recipients yet.
    fn of_recipients(answers: Answers, others: BTreeSet<Vec<u8>>, unread: Unread) -> Asked {
        Asked {
            answers,
            logins: Batch::default(),
            bare: Vec::new(),
            expiry: None,
            unknown: Unknown::default(),
            look: None,
            is_spent: false,
            others,
            users: 0,
            stamps: Vec::new(),
            unread,
            notes: Vec::new(),
        }
    }

    /// Notes how the unit's own home looked, and what of it could not be read or used.
    fn note_home(&mut self, unit: &Unit, path: &[u8], home: &Home, homes: &HomeReader) {
        self.look = home.look.clone();
        self.is_spent = homes.0.host.layout.root.resting.is_beyond(path);
        self.stamps.clone_from(&home.stamps);
        if unit.matters {
            self.notes.extend(homes.0.host.unread_notes(home));
            if self.answers.cut {
                let path = homes.0.host.layout.root.path(path);
                self.notes.push(Note::alert(format!(
                    "{}: its .qmail names with colons can be spelled in more ways than the {} of --max-names; of the others \
                     only the spelling with dots and the one with colons are accepted",
                    show_path(&path),
                    homes.0.host.layout.root.bounds.names
                )).of(Code::QmailSpellings));
            }
        }
        self.unread.causes.extend(home.trouble().filter(|_| unit.matters).map(|cause| (path.to_vec(), cause)));
    }

    /// Adds the logins of the unit's domains, of which its home at `path` holds the mailboxes.
    fn add_logins(&mut self, unit: &Unit, path: &[u8], of_home: &LoginsOf<'_>) {
        let LoginsOf { policy, homes, .. } = of_home;
        let is_plain = |domain: &[u8]| policy.is_plain(domain);
        let is_elsewhere = homes.0.host.build.users.elsewhere().is_some();
        let may_share =
            !is_elsewhere && unit.vpopmail_domains.iter().filter(|(domain, _)| is_plain(domain)).count() > 1;
        let mut alike = BTreeMap::new();
        for (domain, _) in &unit.vpopmail_domains {
            if is_elsewhere {
                self.add_kept_elsewhere(domain, of_home);
                continue;
            }
            let is_known = match may_share && is_plain(domain) {
                true => self.add_shared(domain, of_home, &mut alike),
                false => self.add_own(domain, of_home),
            };
            // A home without mailboxes may just be no vpopmail domain.
            if !is_known && !self.unread.causes.is_empty() {
                self.keep_logins(domain, path, policy, homes.retained_logins());
            }
        }
    }

    /// Adds the logins of a domain that other domains have alike, and says whether they are known.
    fn add_shared<'d>(&mut self, domain: &'d [u8], of_home: &LoginsOf<'d>, alike: &mut Alike<'d>) -> bool {
        let LoginsOf { home, policy, homes } = of_home;
        let frame = Frame { head: Vec::new(), domain: domain.to_vec() };
        let of = if home.users.len() > 1 { homes.0.host.login_domain(domain) } else { b"" };
        let (number, is_known) = *alike.entry(of).or_insert_with(|| {
            let mut logins = Chunk::default();
            let (records, bytes) = of_home.size(domain);
            logins.reserve(records, bytes);
            let found = policy.domain(domain, home, &mut |key, data| {
                if let Some(key) = frame.inside(&key.concat()) {
                    logins.add(&[key], data);
                }
            });
            (self.logins.keep(logins), found.is_ok())
        });
        self.logins.copy(number, frame);
        is_known
    }

    /// Adds the logins of one domain alone, and says whether they are known.
    fn add_own(&mut self, domain: &[u8], of_home: &LoginsOf<'_>) -> bool {
        let mut add = self.adder(of_home.size(domain));
        of_home.policy.domain(domain, of_home.home, &mut add).is_ok()
    }

    /// Adds the published logins of a domain whose users are elsewhere.
    fn add_kept_elsewhere(&mut self, domain: &[u8], of_home: &LoginsOf<'_>) {
        let mut add = self.adder(of_home.size(domain));
        for login in of_home.homes.0.kept_logins(domain, of_home.policy) {
            let parts = [&login.key[..]];
            add(&parts, &[&login.data]);
        }
    }

    /// What adds single logins, about so many of so many bytes.
    fn adder(&mut self, (records, bytes): (usize, usize)) -> impl FnMut(&[&[u8]], &[&[u8]]) {
        let own = self.logins.own();
        if own.is_empty() {
            own.reserve(records, bytes);
        }
        let bare_names = &mut self.bare;
        move |key, data| {
            own.add(key, data);
            if let [bare] = key {
                bare_names.push(bare.to_vec());
            }
        }
    }
}

/// The number of the logins that the plain domains have alike, and whether they are known: of those whose users are the
/// same.
type Alike<'d> = BTreeMap<&'d [u8], (usize, bool)>;

/// What the logins of one home are decided by.
struct LoginsOf<'a> {
    home: &'a Home,
    policy: &'a Policy<'a>,
    homes: &'a HomeReader,
}

impl LoginsOf<'_> {
    /// How many logins a domain may have, and how many bytes they take.
    fn size(&self, domain: &[u8]) -> (usize, usize) {
        match self.home.mailboxes_of(self.homes.0.host.login_domain(domain)) {
            Mailboxes::Known(mailboxes) => mailboxes.size(),
            _ => (0, 0),
        }
    }
}

impl Asked {
    /// Adds the published logins of a domain whose home could not be read, as they would be published now.
    fn keep_logins(&mut self, domain: &[u8], home: &[u8], policy: &Policy<'_>, published: &Retained) {
        let records = published.records_of(domain);
        // A bare login may be anybody's: those of the default domain are made again.
        let of_domain = records.records().filter_map(|record| Some((split_address(record.key)?.0, record.data)));
        let mut added = HashSet::new();
        for (name, data) in of_domain {
            let logins = policy.kept(name, domain, data);
            if !logins.is_empty() {
                *self.unread.kept.entry(home.to_vec()).or_default() += 1;
            }
            for Login { key, data } in logins {
                if !added.contains(&key) {
                    self.logins.own().add(&[&key], &[&data]);
                    self.bare.extend(Some(key.clone()).filter(|key| !key.contains(&b'@')));
                    added.insert(key);
                }
            }
        }
        self.unread.domains.insert(domain.to_vec(), home.to_vec());
    }
}

/// Holds a unit's own home, so that all that is asked of it is asked of one reading, and notes which others are asked for.
struct Followed<'a> {
    homes: &'a HomeReader,
    own: Option<Arc<Home>>,
    others: RefCell<BTreeSet<Vec<u8>>>,
}

impl Homes for Followed<'_> {
    fn home(&self, path: &[u8]) -> Arc<Home> {
        if let Some(own) = self.own.as_ref().filter(|own| own.path == path) {
            return own.clone();
        }
        self.others.borrow_mut().insert(path.to_vec());
        self.homes.home(path)
    }

    fn unassigned(&self, domain: &[u8]) -> Option<Arc<Users>> {
        self.homes.unassigned(domain)
    }

    fn kept_names(&self, domain: &[u8]) -> Vec<&[u8]> {
        self.homes.kept_names(domain)
    }
}

/// A home, or a file of our own, that could not be read, so that its published entries are kept.
#[derive(Clone, Debug)]
pub struct KeptHome {
    /// Its path, as users/assign, passwd or the host names it.
    pub home: Vec<u8>,
    /// The path, why, and what follows.
    pub alert: Note,
    /// The file, when it is one.
    pub unusable: Option<Unusable>,
}

/// What could not be read, and what is kept because of that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Why, by home.
    causes: BTreeMap<Vec<u8>, Trouble>,
    /// The homes of the domains whose logins are unknown.
    domains: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How many published logins are kept, by home.
    kept: BTreeMap<Vec<u8>, usize>,
    /// What became of the recipients, by home.
    recipients: BTreeMap<Vec<u8>, Kept>,
}

impl Unread {
    /// Whether everything could be read.
    pub fn is_empty(&self) -> bool {
        self.causes.is_empty() && self.domains.is_empty() && self.recipients.is_empty()
    }

    /// Adds what could not be read of one unit.
    pub fn add(&mut self, other: &Unread) {
        self.causes.extend(other.causes.clone());
        self.domains.extend(other.domains.clone());
        for (home, logins) in &other.kept {
            *self.kept.entry(home.clone()).or_default() += logins;
        }
        self.add_recipients(&other.recipients);
    }

    /// Adds what became of recipients whose homes could not be read.
    pub fn add_recipients(&mut self, recipients: &BTreeMap<Vec<u8>, Kept>) {
        for (home, kept) in recipients {
            self.recipients.entry(home.clone()).or_default().add(kept);
        }
    }

    /// The homes and the files of our own that could not be read, each with what follows; `unknown` tells of the logins whose
    /// variables control/authvars cannot tell.
    pub fn kept(&self, host: &Host, variables: &AuthVars, unknown: Unknown) -> Vec<KeptHome> {
        let mut kept = self.kept_homes(host);
        kept.extend(self.kept_files(host, variables, unknown));
        kept
    }

    /// Each home that could not be read: why, and what follows for recipients and logins.
    fn kept_homes(&self, host: &Host) -> Vec<KeptHome> {
        let homes: BTreeSet<&Vec<u8>> = self.causes.keys().chain(self.recipients.keys()).collect();
        let is_file = |path: &Vec<u8>| host.control.unusable().any(|unusable| unusable.path == *path);
        let alert = |home: &Vec<u8>| {
            let of_recipients = self.recipients.get(home).into_iter().flat_map(|kept| &kept.causes);
            let causes: BTreeSet<&Trouble> = self.causes.get(home).into_iter().chain(of_recipients).collect();
            let cause = causes.iter().map(|cause| &cause.text[..]).collect::<Vec<_>>().join("; ");
            let denied = causes.iter().any(|cause| cause.denied);
            let mut follows = Vec::new();
            if let Some(kept) = self.recipients.get(home) {
                follows.extend(recipients_kept(kept));
            }
            if let Some(count) = self.kept.get(home) {
                follows.push(format!("{count} logins are kept as published"));
            } else if self.domains.iter().any(|(domain, unread)| unread == home && host.is_vpopmail_like(domain)) {
                follows.push("no login is published to keep, so nobody logs in there".to_owned());
            }
            let path = host.layout.root.path(home);
            let text = format!("{}: {}; {}", show_path(&path), Shown(cause.as_bytes()), follows.join("; "));
            let alert = Note::alert(text).of(Code::HomeUnreadable).but_denied(denied);
            (!follows.is_empty()).then(|| KeptHome { home: home.clone(), alert, unusable: None })
        };
        // Where vpopmail keeps its users is unknown for all homes at once: one alert says so.
        let unknown = host.build.users.unknown();
        let is_for_all = |home: &Vec<u8>| {
            let of_recipients = self.recipients.get(home).into_iter().flat_map(|kept| &kept.causes);
            let mut causes = self.causes.get(home).into_iter().chain(of_recipients);
            unknown.as_ref().is_some_and(|(unknown, _)| causes.all(|cause| cause == *unknown))
        };
        let (all, homes): (Vec<_>, Vec<_>) =
            homes.into_iter().filter(|path| !is_file(path)).partition(|home| is_for_all(home));
        let of_all = unknown.filter(|_| !all.is_empty()).map(|(_, alert)| KeptHome {
            home: host.layout.vpopmail.clone(),
            alert,
            unusable: None,
        });
        of_all.into_iter().chain(homes.into_iter().filter_map(alert)).collect()
    }

    /// Each file of our own that cannot be used: why, and what follows for recipients and logins.
    fn kept_files(&self, host: &Host, variables: &AuthVars, unknown: Unknown) -> Vec<KeptHome> {
        let mut found = Vec::new();
        let mut add = |file: &Unusable, follows: &[String]| {
            let path = host.layout.root.path(&file.path);
            let text = format!("{}: {}; {}", show_path(&path), file.cause, follows.join("; "));
            let alert = Note::alert(text).of(Code::FileUnusable).but_denied(file.cause.denied);
            found.push(KeptHome { home: file.path.clone(), alert, unusable: Some(file.clone()) });
        };
        for list in host.control.unusable() {
            let mut follows = self.recipients.get(&list.path).map(recipients_kept).unwrap_or_default();
            if follows.is_empty() {
                let is_of_programs = host.control.programs.unusable.as_ref() == Some(list);
                let what =
                    if is_of_programs { "no domain runs a program of it" } else { "no relayed domain depends on it" };
                follows.push(what.to_owned());
            }
            add(list, &follows);
        }
        if let Some(file) = variables.unusable() {
            let Unknown { kept, left_out } = unknown;
            let mut follows = Vec::new();
            if kept > 0 {
                follows.push(format!("the published variables of {} stay", count(kept, "login")));
            }
            if left_out > 0 {
                let logins = count(left_out, "login");
                follows.push(format!("left out, because none are published that could stay: {logins}"));
            }
            if follows.is_empty() {
                follows.push("no login that there is depends on it".to_owned());
            }
            add(file, &follows);
        }
        found
    }
}

/// What becomes of the recipients that depend on a source that cannot be read, in words.
fn recipients_kept(kept: &Kept) -> Vec<String> {
    let mut follows = Vec::new();
    if kept.keys > 0 {
        follows.push(format!("{} recipients are kept as published", kept.keys));
    }
    if !kept.accepted.is_empty() {
        let some: Vec<String> = kept.accepted.iter().take(3).map(|domain| Shown(domain).to_string()).collect();
        let more = if kept.accepted.len() > some.len() { " and others" } else { "" };
        follows.push(format!(
            "nothing is published to keep for {}{more}, so what leads there is accepted",
            some.join(", ")
        ));
    }
    follows
}

/// validrcptto.cdb and auth.cdb, where they are whole.
pub type KeptFrom = (Option<Arc<Published>>, Option<Arc<Published>>);

/// A home whose mailboxes take more than so many bytes of memory is a large one.
const LARGE: usize = 1 << 19;
/// So many bytes the mailboxes of large homes may take that are only remembered.
const MAX_LARGE: usize = 1 << 23;

/// Reads homes from the host, and remembers the last few: an address may lead from one home to the next.
#[derive(Clone)]
pub struct HomeReader(Arc<Reader>);

/// A domain without a line in users/assign, and what a user database says of it.
type Unassigned = (Vec<u8>, Option<Arc<Users>>);

struct Reader {
    host: Arc<Host>,
    /// Where they stand, as this rebuild found it.
    folders: Folders,
    recent: Mutex<Vec<Arc<Home>>>,
    remembered: usize,
    /// Those that could not be read, all of them: one that can be read again a moment later is still in doubt, so that
    /// its published entries are kept and not only half of them.
    troubled: Mutex<HashMap<Vec<u8>, Arc<Home>>>,
    /// What a user database says of the last few domains without a line in users/assign.
    unassigned: Mutex<Vec<Unassigned>>,
    /// Those that make too much. What another home asks of them is answered all the same, whichever is asked first.
    given_up: Mutex<HashMap<Vec<u8>, Arc<Home>>>,
    /// The domains that have published logins; read when the first one without mailboxes is met.
    published_domains: OnceLock<HashSet<Vec<u8>>>,
    /// validrcptto.cdb and auth.cdb, from which is kept what cannot be read.
    retained: (Retained, Retained),
    /// auth.cdb.
    published: Option<Arc<Published>>,
    /// Both tables, where entries are kept because vpopmail's user database is not read.
    kept_from: Option<KeptFrom>,
    /// What is kept; read when the first home is met of which something is.
    kept: OnceLock<KeptNames>,
    /// Its name, when it is there and this process may not read it, which is not root.
    closed: Option<PathBuf>,
    /// Set when the looks of the homes are wanted.
    seed: Option<RandomState>,
    /// What was asked for and may not be read by this process, which is not root.
    denied: Mutex<Denied>,
}

impl HomeReader {
    /// Remembers a few homes for each thread. `before` is auth.cdb; with a seed, the look of each home is taken.
    pub fn new(host: &Arc<Host>, before: &Before, threads: usize, seed: Option<RandomState>) -> HomeReader {
        let none = || Retained::new(&Before::default(), PathBuf::new(), b"");
        HomeReader::keeping(host, before, ((none(), none()), (None, None)), threads, seed)
    }

    /// The same, which keeps entries of these tables of what cannot be read; of the second two where vpopmail's user database
    /// is not read.
    pub fn keeping(
        host: &Arc<Host>,
        before: &Before,
        (retained, tables): ((Retained, Retained), KeptFrom),
        threads: usize,
        seed: Option<RandomState>,
    ) -> HomeReader {
        let kept_from = host.build.users.elsewhere().map(|_| tables);
        let remembered = 4 + 2 * threads;
        HomeReader(Arc::new(Reader {
            host: host.clone(),
            folders: Folders::new(&host.layout.root),
            recent: Mutex::default(),
            remembered,
            troubled: Mutex::default(),
            given_up: Mutex::default(),
            unassigned: Mutex::default(),
            published_domains: OnceLock::new(),
            retained,
            published: before.file.clone(),
            kept_from,
            kept: OnceLock::new(),
            closed: before.closed.clone(),
            seed,
            denied: Mutex::default(),
        }))
    }

    /// What was asked for so far and may not be read by this process, which is not root.
    pub fn denied(&self) -> Denied {
        self.0.denied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// validrcptto.cdb, to keep entries from.
    pub fn retained_recipients(&self) -> &Retained {
        self.0.of_retained(&self.0.retained.0)
    }

    fn retained_logins(&self) -> &Retained {
        self.0.of_retained(&self.0.retained.1)
    }

    /// Fails when a published table could not be read from which something had to be kept.
    ///
    /// # Errors
    /// Why.
    pub fn all_retained(&self) -> Result<(), Error> {
        self.0.retained.0.all_read()?;
        self.0.retained.1.all_read()
    }

    /// Whether the home at `path` looks like that.
    pub fn looks_like(&self, path: &[u8], look: &Look) -> bool {
        let Reader { host, folders, seed, .. } = &*self.0;
        seed.as_ref().is_some_and(|seed| host.looks_like(folders, path, look, seed))
    }

    /// Whether the home at `path` need not be read, because it is beyond its budget and rests.
    pub fn rests_spent(&self, path: &[u8]) -> bool {
        self.0.host.rests_spent(&self.0.folders, path)
    }

    /// The home in the place of one that is beyond its budget, as was seen after so long.
    fn give_up(&self, home: &Home, cause: Trouble, took: Duration) -> Arc<Home> {
        let home = Arc::new(self.0.host.spent_home(home, cause, took));
        self.0.given_up.lock().unwrap_or_else(PoisonError::into_inner).insert(home.path.clone(), home.clone());
        home
    }

    /// Notes how long it took to read a home and ask everything of it.
    fn note_time(&self, path: &[u8], took: impl Fn() -> Duration) {
        let Reader { host, .. } = &*self.0;
        let resting = &host.layout.root.resting;
        match resting.is_beyond(path) {
            true => resting.took_beyond(path, took()),
            false => resting.took(path, host.some_domains_of(path), took()),
        }
    }

    /// Forgets a home that all was asked of, if it is a large one: hardly anybody else leads there.
    fn forget_large(&self, path: &[u8]) {
        let mut recent = self.0.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|home| home.path != path || large(home).is_none());
    }

    /// The homes as they are when all units were asked: without those that are beyond their budgets.
    pub fn at_last(&self) -> impl Homes + '_ {
        AtLast(self)
    }

    /// What makes the looks.
    pub fn seed(&self) -> Option<&RandomState> {
        self.0.seed.as_ref()
    }
}

impl Reader {
    /// Notes that it is asked for, and may not be read by this process, which is not root.
    fn of_retained<'r>(&self, retained: &'r Retained) -> &'r Retained {
        self.deny(retained.closed.iter().cloned());
        retained
    }

    fn kept(&self) -> Option<&KeptNames> {
        let (recipients, logins) = self.kept_from.as_ref()?;
        Some(self.kept.get_or_init(|| KeptNames::read(&self.host, recipients.as_deref(), logins.as_deref())))
    }

    /// The published logins of a domain, as they would be published now.
    fn kept_logins(&self, domain: &[u8], policy: &Policy<'_>) -> Vec<Login> {
        let names = self.kept().map_or_else(Vec::new, |kept| kept.logins.of(domain));
        let table = self.kept_from.as_ref().and_then(|(_, logins)| logins.as_ref()?.cdb().ok());
        let data = |name: &[u8]| table.as_ref()?.find(&join_address(name, domain));
        let found = names.into_iter().filter_map(|name| Some((name, data(name)?)));
        found.flat_map(|(name, data)| policy.kept(name, domain, &data)).collect()
    }

    fn deny(&self, paths: impl IntoIterator<Item = PathBuf>) {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).extend(paths);
    }

    fn published_domains(&self) -> &HashSet<Vec<u8>> {
        self.published_domains.get_or_init(|| self.read_published_domains())
    }

    fn read_published_domains(&self) -> HashSet<Vec<u8>> {
        let mut domains: HashSet<Vec<u8>> = HashSet::new();
        let Some(Ok(cdb)) = self.published.as_ref().map(|published| published.cdb()) else { return domains };
        let Ok(mut logins) = cdb.records() else { return domains };
        while let Some(login) = logins.current() {
            if let Some((_, domain)) = split_address(login.key)
                && !domains.contains(domain)
            {
                domains.insert(domain.to_vec());
            }
            if logins.advance().is_err() {
                break;
            }
        }
        domains
    }

    /// Reads a home. One that holds no mailboxes any more, though logins of its domain are published, is half deleted
    /// or an empty mount point: nothing in it counts. Unless its .qmail-default says that it is no vpopmail domain now.
    fn read(&self, path: &[u8]) -> Home {
        // Before it is read: what changes meanwhile is seen next time.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // The look of a home that is beyond its budget may cost as much as reading it.
        let seed = self.seed.as_ref().filter(|_| !self.host.layout.root.resting.is_beyond(path));
        let look = seed.and_then(|seed| self.host.look(&self.folders, path, seed, now));
        let mut home = self.host.read_home_in(&self.folders, path);
        // What lies elsewhere is in no look.
        home.look = look.filter(|_| home.is_certain && !home.asked_elsewhere);
        let is_absent = |users: &Users| matches!(users.mailboxes, Mailboxes::Absent);
        if let HomeState::Listed(perm, dot_qmails) = &home.state
            && home.users.first().is_none_or(is_absent)
            && !dot_qmails.default_serves_otherwise()
        {
            let mut domains = self.host.domains_of(path);
            if let Some(closed) = &self.closed {
                // A line `+account-` is no domain of vpopmail's.
                if domains.any(|domain| domain.contains(&b'.') || self.host.is_vpopmail_like(domain)) {
                    self.deny([closed.clone()]);
                    let cause = Trouble::from(Errno::EACCES).of_file(show_path(closed)).of_file(ABSENT);
                    home.state = HomeState::Unreadable(Some(*perm), cause);
                }
            } else if domains.any(|domain| self.published_domains().contains(domain)) {
                home.state = HomeState::Unreadable(Some(*perm), ABSENT.into());
            }
        }
        self.deny(self.host.denied_of(&home));
        home
    }
}

/// How many bytes the mailboxes of a home take, when these are many.
fn large(home: &Home) -> Option<usize> {
    let users = home.users.iter().filter_map(|users| users.mailboxes.known());
    Some(users.map(|mailboxes| mailboxes.size().1).sum()).filter(|bytes| *bytes > LARGE)
}

/// Remembers a home, and forgets those that were asked for longest ago: beyond so many, and of the large ones beyond
/// [`MAX_LARGE`]. The last large one stays: addresses that lead there must not make it be read again and again.
fn remember(recent: &mut Vec<Arc<Home>>, home: Arc<Home>, most: usize) {
    recent.insert(0, home);
    recent.truncate(most);
    let (mut all, mut is_first) = (0, true);
    recent.retain(|home| {
        let Some(bytes) = large(home) else { return true };
        all += bytes;
        std::mem::take(&mut is_first) || all <= MAX_LARGE
    });
}

impl Homes for HomeReader {
    /// On a thread that cannot be given up, another one reads it.
    fn home(&self, path: &[u8]) -> Arc<Home> {
        let reader = &self.0;
        {
            let mut recent = reader.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = recent.iter().position(|home| home.path == path) {
                let home = recent.remove(at);
                recent.insert(0, home.clone());
                return home;
            }
        }
        let troubled = || reader.troubled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(home) = troubled().get(path) {
            return home.clone();
        }
        let (own, inside) = (reader.clone(), path.to_vec());
        let read = reader.host.layout.root.silences.attempt(move || own.read(&inside));
        let home = Arc::new(read.unwrap_or_else(|cause| {
            // A thread could not be started.
            note_error(&cause, || reader.host.layout.root.path(path));
            Home::unreadable(path, (&cause).into())
        }));
        if home.trouble().is_some() {
            troubled().insert(path.to_vec(), home.clone());
            return home;
        }
        let mut recent = reader.recent.lock().unwrap_or_else(PoisonError::into_inner);
        remember(&mut recent, home.clone(), reader.remembered);
        home
    }

    fn unassigned(&self, domain: &[u8]) -> Option<Arc<Users>> {
        self.0.host.build.users.snapshot()?;
        let mut unassigned = self.0.unassigned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, users)) = unassigned.iter().find(|(name, _)| name == domain) {
            return users.clone();
        }
        let users = self.0.host.unassigned_users(domain).map(Arc::new);
        unassigned.insert(0, (domain.to_vec(), users.clone()));
        unassigned.truncate(self.0.remembered);
        users
    }

    fn kept_names(&self, domain: &[u8]) -> Vec<&[u8]> {
        self.0.kept().map_or_else(Vec::new, |kept| kept.recipients.of(domain))
    }
}

/// See [`HomeReader::at_last`].
struct AtLast<'a>(&'a HomeReader);

impl Homes for AtLast<'_> {
    fn home(&self, path: &[u8]) -> Arc<Home> {
        let given_up = self.0.0.given_up.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        given_up.unwrap_or_else(|| self.0.home(path))
    }

    fn unassigned(&self, domain: &[u8]) -> Option<Arc<Users>> {
        self.0.unassigned(domain)
    }

    fn kept_names(&self, domain: &[u8]) -> Vec<&[u8]> {
        self.0.kept_names(domain)
    }
}

/// What is published of the domains whose users are not read.
struct KeptNames {
    /// Those that the recipient table accepts.
    recipients: Names,
    logins: Names,
}

/// Names by domain, each domain's sorted and ended by NUL: there may be very many.
#[derive(Default)]
struct Names(HashMap<Vec<u8>, Vec<u8>>);

impl KeptNames {
    fn read(host: &Host, recipients: Option<&Published>, logins: Option<&Published>) -> KeptNames {
        let is_default = |local: &[u8]| {
            local.strip_suffix(DEFAULT).is_some_and(|rest| rest.last().is_none_or(|b| *b == host.layout.break_byte))
        };
        // What stands for many names is decided by the .qmail files.
        let is_name = |local: &[u8], data: &[u8]| smtpd::accepts(data) && !local.is_empty() && !is_default(local);
        let (recipients, logins) = (Names::read(host, recipients, &is_name), Names::read(host, logins, &|_, _| true));
        KeptNames { recipients, logins }
    }
}

impl Names {
    /// Those of the domains that users/assign gives vpopmail.
    fn read(host: &Host, table: Option<&Published>, is_wanted: &dyn Fn(&[u8], &[u8]) -> bool) -> Names {
        let mut lists: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
        let Some(Ok(cdb)) = table.map(Published::cdb) else { return Names::default() };
        let Ok(mut records) = cdb.records() else { return Names::default() };
        while let Some(record) = records.current() {
            let (name, domain) = split_address(record.key).unwrap_or((record.key, &host.control.envnoathost));
            if host.assignments.vpopmail_domain(domain).is_some() && !name.contains(&0) && is_wanted(name, record.data)
            {
                lists.entry(domain.to_vec()).or_default().push(name.to_vec());
            }
            if records.advance().is_err() {
                return Names::default();
            }
        }
        let list = |mut names: Vec<Vec<u8>>| {
            names.sort_unstable();
            names.dedup();
            names.into_iter().flat_map(|name| [&name[..], b"\0"].concat()).collect()
        };
        Names(lists.into_iter().map(|(domain, names)| (domain, list(names))).collect())
    }

    fn of(&self, domain: &[u8]) -> Vec<&[u8]> {
        let names = self.0.get(domain).into_iter().flat_map(|names| names.split(|b| *b == 0));
        names.filter(|name| !name.is_empty()).collect()
    }
}
