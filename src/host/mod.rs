//! What the mail host says: the only readers of its files. [`Host`] holds the small things, whole; a [`Home`] is one
//! directory with its dot-qmail files and mailboxes, read, used and dropped, because a million mailboxes must never be
//! in memory at once.

pub mod accounts;
pub mod assign;
pub mod authvars;
pub mod build;
pub mod compilers;
pub mod control;
pub mod crypt;
pub mod dot_qmail;
pub mod inventory;
pub mod line;
pub mod look;
pub mod mailboxes;
pub mod units;
pub mod user_database;
pub mod vpopmail;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Trouble, is_outside, show_path};
use crate::fs::budget::{Budget, time_of_thread};
use crate::fs::failures::of_home;
use crate::fs::silence::{led_to, met};
use crate::fs::trust::{Link, Ownership, Place, Way, is_foreign};
use crate::fs::{Directory, End, FileOwners, Folders, Kind, Opened, Perm, Root, Stamp, Who};
use crate::kernel;
use crate::report::{Code, Note};
use crate::text::{Shown, lower};
use accounts::{Accounts, Sources};
use assign::{Assignment, Assignments};
use authvars::AuthVars;
use build::Build;
use control::Control;
use dot_qmail::{DotQmails, Programs};
use line::Lines;
use line::aliases::Aliases;
use mailboxes::snapshot::Snapshot;
use mailboxes::{Source, Users};
use user_database::Sign;
use vpopmail::{COMPILED, Mailboxes, TEXT, Vpasswd};

/// Where qmail and vpopmail are, and how they were built.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Every absolute path is taken below it.
    pub root: Root,
    /// qmail's folder, as the host names it, no slash at its end.
    pub qmail: Vec<u8>,
    /// vpopmail's directory, as the host names it, no slash at its end.
    pub vpopmail: Vec<u8>,
    /// Whether the administrator named it; else it is where the user vpopmail has its home ([`vpopmail_of`]).
    pub is_vpopmail_given: bool,
    /// The name in QMAIL/users of the file that qmail-newu writes, when the administrator says which; `None`: it is found.
    pub users_cdb: Option<Vec<u8>>,
    /// Where vpopmail keeps its users, when the administrator says it; `None`: it is found.
    pub user_database: Option<user_database::Kind>,
    /// The file that says how to reach the user database, when it is not vpopmail's own.
    pub connection: Option<Vec<u8>>,
    /// Whether vpopmail looks aliases up in the user database, when the administrator says it; `None`: it is found.
    pub valias: Option<bool>,
    /// What the user database said, or why it said nothing, where it was asked already; nothing on the host then tells where
    /// the users are.
    pub snapshot: Option<Result<Arc<Snapshot>, Trouble>>,
    /// qmail's conf-break.
    pub break_byte: u8,
    /// Whether vpopmail was built with qmail-ext.
    pub qmail_ext: bool,
    /// Whether a message that only a catch-all of `delete` takes is refused.
    pub refuse_delete: bool,
}

impl Layout {
    /// The files below VPOPMAIL that decide, the homes aside.
    pub fn vpopmail_sources(&self) -> impl Iterator<Item = Vec<u8>> {
        let others = ["etc/defaultdomain", "etc/vlimits.default", build::LOGIN_PROGRAM];
        let names = others.into_iter().chain(user_database::files());
        names.map(|name| [&self.vpopmail[..], b"/", name.as_bytes()].concat())
    }
}

/// The user whose home is vpopmail's directory.
pub const VPOPMAIL: &[u8] = b"vpopmail";

/// vpopmail's directory where the administrator names none: the home of its user, where there is one.
pub fn vpopmail_of(home: Option<&[u8]>) -> Vec<u8> {
    let home = home.filter(|home| home.starts_with(b"/")).map(without_slash);
    home.filter(|home| !home.is_empty()).unwrap_or(kernel::VPOPMAIL.as_bytes()).to_vec()
}

/// A path without the slashes at its end.
pub fn without_slash(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|b| *b != b'/').map_or(0, |last| last + 1);
    &path[..end]
}

/// Everything about a host but its homes.
#[derive(Clone, Debug)]
pub struct Host {
    /// Where its files are.
    pub layout: Layout,
    /// QMAIL/control.
    pub control: Control,
    /// QMAIL/users/assign.
    pub assignments: Assignments,
    /// The system's accounts.
    pub accounts: Accounts,
    /// The domain whose users log in by their bare names, in lower case; or why that cannot be known.
    pub default_domain: Result<Option<Vec<u8>>, Trouble>,
    /// How vpopmail was built.
    pub build: Build,
    /// The limits of domains that have none of their own; or why they cannot be known.
    pub default_limits: Result<u64, Trouble>,
    /// The places where the programs that are known usually are, and whether they are there.
    programs: BTreeMap<Vec<u8>, bool>,
    lines: Lines,
    /// The homes that a `+domain-` line names, each with the domain, sorted: only there mailboxes are looked for.
    mailbox_homes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Host {
    /// Reads all of it. `sources` and `enumerated` are those of [`Accounts::read`].
    ///
    /// # Errors
    /// What stops a rebuild: a file that is there and cannot be read, and a malformed one (docs/rules.md, 9.1).
    pub fn read(
        mut layout: Layout,
        sources: Sources,
        enumerated: Option<&[u8]>,
        notes: &mut Vec<Note>,
    ) -> Result<Host, Error> {
        let control = Control::read(&layout.root, &layout.qmail, notes)?;
        let assignments = Assignments::read(&layout, notes)?;
        let accounts = Accounts::read(&layout.root, sources, enumerated, notes)?;
        if !layout.is_vpopmail_given {
            layout.vpopmail = vpopmail_of(accounts.home_of(VPOPMAIL));
        }
        let root = &layout.root;
        let gone = layout.is_vpopmail_given.then(|| root.no_directory(&layout.vpopmail)).flatten().map(|cause| {
            let path = root.path(&layout.vpopmail);
            let why = format!("{}: {}", show_path(&path), cause.desc());
            notes.push(Note::alert(format!(
                "{why}; --vpopmail names it; the default domain and the default limits are unknown, and what they decide is \
                 kept as published"
            )).of(Code::VpopmailMissing));
            why
        });
        // VPOPMAIL/etc is vpopmail's: what it does there must not stop a rebuild, and nothing of it is ever told.
        let etc = [&layout.vpopmail[..], b"/etc"].concat();
        let read = |name: &[u8]| {
            let file = [&etc[..], b"/", name].concat();
            let told = |cause: Trouble| cause.of_file(show_path(&root.path(&file)));
            match (root.read(&file), &root.walk(&etc).end) {
                (Ok(None), End::Found(_)) => Ok(None),
                // A file system that is not mounted is no answer.
                (Ok(None), _) => Err(told(nix::errno::Errno::ENOENT.into())),
                (Ok(content), _) => Ok(content),
                (Err(cause), _) => Err(told((&cause).into())),
            }
        };
        // As it stands: vpopmail cuts off nothing but the newline.
        let first_line = |content: Vec<u8>| lower(content.split(|b| matches!(b, b'\n' | 0)).next().unwrap_or_default());
        let default_domain =
            read(b"defaultdomain").map(|content| content.map(first_line).filter(|domain| !domain.is_empty()));
        if let Ok(Some(domain)) = &default_domain
            && assignments.vpopmail_domain(domain).is_none()
        {
            let file = show_path(&root.path(&[&etc[..], b"/defaultdomain"].concat())).to_string();
            let bare = domain.trim_ascii();
            notes.push(Note::warning(if bare != domain && assignments.vpopmail_domain(bare).is_some() {
                format!(
                    "{file}: line 1: the blank or CR beside {} is part of the name, which vpopmail then does not find; \
                     nobody logs in by a bare name",
                    Shown(bare)
                )
            } else {
                format!("{file}: line 1: no domain of users/assign; nobody logs in by a bare name")
            }).of(Code::DefaultDomain));
        }
        let default_limits = match read(b"vlimits.default") {
            Err(_) if gone.is_some() => Err(gone.unwrap_or_default().into()),
            Ok(text) => Ok(text.map_or(0, |text| vpopmail::parse_limits(&text))),
            // Without its folder there are no domains either.
            Err(_) if matches!(root.walk(&etc).end, End::Missing(_)) => Ok(0),
            Err(cause) => Err(cause),
        };
        let mailbox_homes = assignments.domains().map(|(domain, line)| (line.home.clone(), domain.to_vec()));
        let mut mailbox_homes: Vec<_> = mailbox_homes.collect();
        mailbox_homes.sort_unstable();
        mailbox_homes.shrink_to_fit();
        let build = Build::read(&layout, notes);
        let is_there = |path: &Vec<u8>| matches!(layout.root.walk(path).end, End::Found(_));
        let programs = line::usual_places(&layout.qmail).map(|path| (is_there(&path), path));
        let programs = programs.map(|(is_there, path)| (path, is_there)).collect();
        Ok(Host {
            build,
            layout,
            control,
            assignments,
            accounts,
            default_domain,
            default_limits,
            programs,
            lines: Lines::default(),
            mailbox_homes,
        })
    }

    /// Where vpopmail keeps its users, when no file on the host tells it: where an earlier rebuild saw that they are. Without
    /// that, it is unknown while VPOPMAIL is missing or empty and vpopmail has domains.
    pub fn find_users_without_signs(&mut self, earlier: Option<&Sign>, notes: &mut Vec<Note>) {
        let is_told = self.layout.user_database.is_some() || self.build.sign.is_some();
        if is_told || self.build.users != Source::Files {
            return;
        }
        let of_vpopmail = |(domain, line): (&[u8], &Assignment)| {
            self.is_vpopmail_like(domain) && (line.user == domain || line.user.contains(&b'.'))
        };
        let seen = match earlier {
            Some(sign) => Some(user_database::seen_before(sign)),
            None if self.assignments.domains().any(of_vpopmail) => user_database::without_signs(&self.layout),
            None => None,
        };
        if let Some(seen) = seen {
            self.build.tables =
                seen.asked.as_ref().map_or_else(Default::default, |sign| build::Tables::read(&self.layout, sign.kind));
            self.build.asked = seen.asked;
            self.build.users = seen.users;
            notes.extend(seen.notes);
        }
    }

    /// Whether another reading of the same host says the same. What qmail-newu and qmail-newmrh still have to do is no
    /// difference.
    pub fn says_the_same(&mut self, other: &Host) -> bool {
        let behind = (&other.assignments.behind, &other.control.morercpthosts_behind);
        self.assignments.behind.clone_from(behind.0);
        self.control.morercpthosts_behind.clone_from(behind.1);
        self.control == other.control
            && self.assignments == other.assignments
            && self.accounts == other.accounts
            && self.default_domain == other.default_domain
            && self.default_limits == other.default_limits
            && self.build == other.build
            && self.programs == other.programs
            && self.layout.vpopmail == other.layout.vpopmail
    }

    /// The path of a file in QMAIL/control, for messages.
    pub fn control_path(&self, name: &str) -> PathBuf {
        self.layout.root.path(&[&self.layout.qmail[..], b"/control/", name.as_bytes()].concat())
    }

    /// The path of users/assign, or of the compiled file that stands in for it, for messages.
    pub fn assign_path(&self) -> PathBuf {
        if self.assignments.compiled_only {
            return self.layout.root.path(&self.assignments.compiled_file);
        }
        let name = b"/users/assign";
        self.layout.root.path(&[&self.layout.qmail[..], name].concat())
    }

    /// Reads control/authvars; without the file, no login brings variables.
    pub fn read_authvars(&self) -> AuthVars {
        let inside = [&self.layout.qmail[..], b"/control/authvars"].concat();
        let path = self.layout.root.path(&inside);
        match self.layout.root.read(&inside) {
            Ok(text) => AuthVars::parse(&text.unwrap_or_default(), &inside, &path),
            Err(cause) => AuthVars::unread(&inside, &Error::io("read", &path, cause)),
        }
    }

    /// Every home that decides about mail or logins, as users/assign and passwd name them.
    pub fn homes(&self) -> BTreeSet<&[u8]> {
        let lines = self.assignments.all();
        // qmail-lspawn runs nothing as root.
        let lines = lines.filter(|line| line.who.uid != 0);
        let accounts = self.accounts.accepted.values().chain(&self.accounts.alias);
        let homes = lines.map(|line| &line.home).chain(accounts.map(|account| &account.home));
        homes.filter(|home| home.starts_with(b"/")).map(Vec::as_slice).collect()
    }

    /// Whether a domain with a `+domain-` line is virtual as vpopmail makes it: `domain:domain` in virtualdomains.
    pub fn is_vpopmail_like(&self, domain: &[u8]) -> bool {
        self.control.prefix(domain) == Some([domain, b"-"].concat())
    }

    /// Whether qmail still has somebody for the domain: it is local, or virtual by its name (or by a suffix, while
    /// rcpthosts names it) and not a vpopmail domain whose line has left users/assign.
    pub fn is_assigned(&self, domain: &[u8]) -> bool {
        self.control.prefix(domain).is_some()
            && self.control.is_named(domain)
            && (!self.is_vpopmail_like(domain) || self.assignments.vpopmail_domain(domain).is_some())
    }

    /// Whether a file names this domain.
    pub fn knows(&self, domain: &[u8]) -> bool {
        self.control.domains().any(|name| name == domain) || self.assignments.vpopmail_domain(domain).is_some()
    }

    /// The domain under which the user database has the users of a domain: that of its line in users/assign.
    pub fn user_domain<'d>(&'d self, domain: &'d [u8]) -> &'d [u8] {
        self.assignments.vpopmail_domain(domain).map_or(domain, |line| &line.user)
    }

    /// Whether those of this domain log in by their bare names, too: vpopmail's default domain.
    pub fn is_default_domain(&self, domain: &[u8]) -> bool {
        self.default_domain.as_ref().is_ok_and(|default| default.as_deref() == Some(domain))
    }

    /// The domain under which the user database has those who log in by this domain.
    pub fn login_domain<'d>(&'d self, domain: &'d [u8]) -> &'d [u8] {
        let is_by_name = self.build.users.snapshot().is_some_and(|snapshot| !snapshot.about().kind.has_alias_logins());
        if is_by_name { domain } else { self.user_domain(domain) }
    }

    /// The domains whose `+domain-` line names this home.
    pub fn domains_of(&self, home: &[u8]) -> impl Iterator<Item = &[u8]> {
        let first = self.mailbox_homes.partition_point(|(of, _)| &of[..] < home);
        let its = self.mailbox_homes[first..].iter().take_while(move |(of, _)| of == home);
        its.map(|(_, domain)| domain.as_slice())
    }

    /// The first of them, for who remembers them for each home.
    pub fn some_domains_of(&self, home: &[u8]) -> Vec<Vec<u8>> {
        const SOME: usize = 100;
        self.domains_of(home).take(SOME).map(<[u8]>::to_vec).collect()
    }

    /// Reads the home at `path`, as users/assign or passwd names it.
    pub fn read_home(&self, path: &[u8]) -> Home {
        self.read_home_in(&Folders::new(&self.layout.root), path)
    }

    /// Reads one of many homes, which often stand side by side in `folders` of this host's root. When anything that it
    /// leads to does not answer, or a read fails for another reason than what is on the host, nothing in it counts.
    pub fn read_home_in(&self, folders: &Folders, path: &[u8]) -> Home {
        let root = &self.layout.root;
        let place = root.path(path);
        let read = || met(|| root.at(path, || self.read_answering_home(folders, path)));
        let ((mut home, silence), failed) = of_home(&place, read);
        home.is_certain = failed.failure.is_none() && !failed.is_refused;
        let cause = silence.map(|silence| silence.beside(&place).into());
        // What could not be read is no fact about the host, and neither is what was made of it.
        let cause = cause.or_else(|| failed.failure.map(|failure| failure.trouble(&place)));
        if let (Some(cause), HomeState::Listed(perm, _)) = (cause, &home.state) {
            home.state = HomeState::Unreadable(Some(*perm), cause);
        }
        home
    }

    /// Reads a home as far as its budget goes. When that is not far enough, nothing in it counts.
    fn read_answering_home(&self, folders: &Folders, path: &[u8]) -> Home {
        let unreadable =
            |perm, above: &[Perm], cause| Home { above: above.to_vec(), ..Home::unreadable_at(path, perm, cause) };
        if let Some((above, perm, cause)) = self.known_spent(folders, path) {
            return unreadable(Some(perm), &above, cause);
        }
        let (budget, start) = (Budget::new(self.layout.root.bounds), time_of_thread());
        let home = self.read_home_within(folders, path, &budget);
        match budget.passed() {
            Some(cause) => self.spent_home(&home, cause, time_of_thread().saturating_sub(start)),
            None => Home { steps: usize::try_from(budget.steps_taken()).unwrap_or(usize::MAX), ..home },
        }
    }

    /// Why the home at `path` is beyond its budget, when that was seen lately, or a while ago and nothing there has changed;
    /// and the permissions above it and its own.
    fn known_spent(&self, folders: &Folders, path: &[u8]) -> Option<(Vec<Perm>, Perm, Trouble)> {
        if !self.layout.root.resting.is_beyond(path) {
            return None;
        }
        let (way, directory) = folders.open_directory(path)?;
        let cause = self.layout.root.resting.of(path, &stamps_of(&directory))?;
        Some((way.searched, directory.perm, cause))
    }

    /// Whether the home at `path` need not be read, because it is beyond its budget and rests.
    pub fn rests_spent(&self, folders: &Folders, path: &[u8]) -> bool {
        let resting = &self.layout.root.resting;
        let stays = |directory: &Directory| resting.stays_beyond(path, &stamps_of(directory));
        resting.is_beyond(path) && folders.open_directory(path).is_some_and(|(_, directory)| stays(&directory))
    }

    /// What stands in the place of a home that is beyond its budget, which took so long to find out.
    pub fn spent_home(&self, home: &Home, cause: Trouble, took: Duration) -> Home {
        if !home.stamps.is_empty() {
            self.layout.root.resting.add(
                &home.path,
                self.some_domains_of(&home.path),
                home.stamps.clone(),
                &cause,
                took,
            );
        }
        Home { above: home.above.clone(), ..Home::unreadable_at(&home.path, home.perm(), cause) }
    }

    /// Reads the home at `path`, counted in this budget, whatever that says.
    pub fn read_home_within(&self, folders: &Folders, path: &[u8], budget: &Budget) -> Home {
        let root = &self.layout.root.spending(budget);
        let asked = Cell::new(false);
        let exists = |file: &[u8]| {
            asked.set(true);
            matches!(root.walk(file).end, End::Found(_))
        };
        let aliases = |file: &[u8]| {
            asked.set(true);
            root.elsewhere.add(file);
            Aliases::read(root, file)
        };
        let programs = Programs {
            qmail: &self.layout.qmail,
            vpopmail: &self.layout.vpopmail,
            home: path,
            declared: &self.control.programs,
            usual: &|path| self.programs.get(path).copied(),
            exists: &exists,
            home_of: &|name| self.accounts.home_of(name).map(<[u8]>::to_vec),
            aliases: &aliases,
            lines: Some(&self.lines),
        };
        let (way, opened) = match folders.open_directory(path) {
            Some((way, directory)) => (way, Ok(directory.spending(budget))),
            None => open_home(root, path),
        };
        let mut home = Home {
            path: path.to_vec(),
            above: way.searched.clone(),
            state: HomeState::Missing(String::new()),
            users: self.read_users(path, budget),
            look: None,
            asked_elsewhere: false,
            is_certain: false,
            stamps: Vec::new(),
            steps: 0,
        };
        let directory = match opened {
            Ok(directory) => directory,
            Err(state) => return Home { state, ..home },
        };
        home.stamps = stamps_of(&directory);
        let assigned = self.assigned(path);
        let place = Place { way: &way, perm: directory.perm, assigned: &assigned };
        // What is another's, and may not be listed by the uid that qmail takes, is not read.
        let is_domain = self.domains_of(path).any(|domain| self.is_vpopmail_like(domain));
        if let Some(why) = place.doubt().filter(|_| is_domain && place.is_closed()) {
            return Home { state: HomeState::Unreadable(Some(directory.perm), why.into()), ..home };
        }
        home.state = match DotQmails::read(root, path, &directory, &programs) {
            Ok(dot_qmails) => HomeState::Listed(directory.perm, dot_qmails),
            Err(cause) => HomeState::Unreadable(Some(directory.perm), (&cause).into()),
        };
        home.asked_elsewhere = asked.get();
        self.read_domain(root, folders, &place, &directory, &mut home);
        // An empty mount point, or a domain that is being deleted: qmail would bounce all of it, which nobody wants.
        let is_empty = match home.users.first().map(|users| (&users.mailboxes, &users.of)) {
            None | Some((Mailboxes::Absent, _)) => Some("neither mailboxes nor .qmail files are there"),
            Some((Mailboxes::Elsewhere(_), _) | (_, Some(_))) => Some("no .qmail file is there"),
            Some((Mailboxes::Known(_) | Mailboxes::Unreadable(..) | Mailboxes::Unknown(_), None)) => None,
        };
        if let (HomeState::Listed(perm, dot_qmails), Some(why)) = (&home.state, is_empty)
            && dot_qmails.is_empty()
            && self.domains_of(path).any(|domain| self.is_vpopmail_like(domain))
        {
            home.state = HomeState::Unreadable(Some(*perm), why.into());
        }
        home
    }

    /// What was left unread in the home, and counts as delivered.
    pub fn unread_notes(&self, home: &Home) -> Vec<Note> {
        let HomeState::Listed(_, dot_qmails) = &home.state else { return Vec::new() };
        let note = |unread: &dot_qmail::Unread| {
            let path = self.layout.root.path(&unread.path);
            let text = format!("{}: {}; what leads there counts as delivered", show_path(&path), unread.cause);
            let note = if unread.bound { Note::alert(text) } else { Note::warning(text) };
            note.of(Code::QmailFileUnreadable).at(&path, None).but_denied(unread.cause.denied)
        };
        dot_qmails.unread.iter().map(note).collect()
    }

    /// What of the home the system does not let this process read, which is not root.
    pub fn denied_of(&self, home: &Home) -> Vec<PathBuf> {
        let root = &self.layout.root;
        let inside = |file: &str| root.path(&[&home.path[..], b"/", file.as_bytes()].concat());
        let mut denied = Vec::new();
        match &home.state {
            HomeState::Unreadable(_, cause) if cause.denied => denied.push(root.path(&home.path)),
            HomeState::Listed(_, dot_qmails) => {
                let unread = dot_qmails.unread.iter().filter(|unread| unread.cause.denied);
                denied.extend(unread.map(|unread| root.path(&unread.path)));
            }
            HomeState::Unreadable(..) | HomeState::Missing(_) => {}
        }
        for users in &home.users {
            if let Mailboxes::Unreadable(file, cause) = &users.mailboxes
                && cause.denied
            {
                denied.push(inside(file));
            }
            if let Mailboxes::Unknown(_) = &users.mailboxes {
                denied.extend(self.build.users.closed().cloned());
            }
            if users.limits.as_ref().is_err_and(|cause| cause.denied) {
                denied.push(match &self.default_limits {
                    Ok(_) => inside(vpopmail::LIMITS),
                    Err(_) => root.path(&[&self.layout.vpopmail[..], b"/etc/vlimits.default"].concat()),
                });
            }
        }
        denied
    }

    /// The same of everything but the homes.
    pub fn denied(&self) -> Vec<PathBuf> {
        let root = &self.layout.root;
        let denied = self.default_domain.as_ref().is_err_and(|cause| cause.denied);
        let default_domain = denied.then(|| root.path(&[&self.layout.vpopmail[..], b"/etc/defaultdomain"].concat()));
        let lists = self.control.unusable().filter(|list| list.cause.denied).map(|list| root.path(&list.path));
        let accounts = self.accounts.denied.iter().map(|home| root.path(home));
        let closed = self.build.users.closed().cloned();
        accounts.chain(default_domain).chain(lists).chain(closed).collect()
    }

    /// Whether something that decides about the logins of the domain in this home was changed since this time, since
    /// 1970-01-01 UTC.
    pub fn has_changed_since(&self, home: &[u8], time: Duration) -> bool {
        let of = |folder: &[u8], name: &str| [folder, b"/", name.as_bytes()].concat();
        let layout = &self.layout;
        let files = [
            of(home, vpopmail::COMPILED),
            of(home, vpopmail::TEXT),
            of(home, vpopmail::LIMITS),
            of(&layout.qmail, "users/assign"),
            of(&layout.qmail, "control/authvars"),
            of(&layout.vpopmail, "etc/vlimits.default"),
            of(&layout.vpopmail, "etc/defaultdomain"),
        ];
        let changed = |file: Vec<u8>| match layout.root.walk(&file).end {
            End::Found(found) => found.stamp().ok().map(|stamp| stamp.changed),
            End::Missing(_) | End::Failed(_) | End::Silent(_) => None,
        };
        files.into_iter().filter_map(changed).any(|changed| changed >= time)
    }

    /// Reads the mailboxes of the home at `path`, which is this open directory; and tells why no login is taken from them,
    /// where they may be another's.
    fn read_mailboxes(
        &self,
        root: &Root,
        folders: &Folders,
        path: &[u8],
        place: &Place<'_>,
        directory: &Directory,
    ) -> (Mailboxes, Option<Trouble>) {
        match &self.build.users {
            Source::Files => {}
            // Never asked for: they are in no directory.
            Source::Snapshot(_) => return (Mailboxes::Absent, None),
            Source::Elsewhere(cause) => return (Mailboxes::Elsewhere(cause.clone()), None),
            Source::Failed(cause) | Source::Unknown(_, cause) => return (Mailboxes::Unknown(cause.clone()), None),
        }
        let judge = |file: &Opened, links: &[Link]| match place.ownership(file, links) {
            Ownership::Own if file.links > 1 => match self.shares_file(folders, directory, file.id) {
                // Both have the same owner, who can read both.
                Some(home) => Ownership::Readable(has_same(&home)),
                None => Ownership::Own,
            },
            ownership => ownership,
        };
        Mailboxes::read(root, path, directory, &judge, self.domains_of(path).count())
    }

    /// Another home directory whose file of mailboxes is this one, by another name of it: one of the same owner, into which
    /// only that owner writes. What another one puts into his own directory concerns that one alone.
    fn shares_file(&self, folders: &Folders, directory: &Directory, file: (u64, u64)) -> Option<PathBuf> {
        let files_of = |home: &[u8]| {
            let (way, directory) = folders.open_directory(home)?;
            let place = Place { way: &way, perm: directory.perm, assigned: &self.assigned(home) };
            let of_name = |name: &str| directory.stat(name.as_bytes()).ok();
            let files = [COMPILED, TEXT].into_iter().filter_map(of_name).filter(|(_, perm, _)| place.owns(perm));
            Some(files.map(|(.., file)| (file, directory.id)).collect::<Vec<_>>())
        };
        let find = || {
            let mut homes: Vec<&[u8]> = self.mailbox_homes.iter().map(|(home, _)| &home[..]).collect();
            homes.dedup();
            let mut owners = FileOwners::new();
            for home in homes {
                for (file, directory) in files_of(home).unwrap_or_default() {
                    owners.entry(file).or_default().push((directory, self.layout.root.path(home)));
                }
            }
            owners
        };
        // A home that does not answer says nothing of the one that is read.
        let (owners, _) = met(|| folders.file_owners(find));
        owners.get(&file)?.iter().find(|(other, _)| *other != directory.id).map(|(_, home)| home.clone())
    }

    /// What the user database says of the domains of the home at `path`; nothing when the files of directories hold it.
    fn read_users(&self, path: &[u8], budget: &Budget) -> Vec<Users> {
        let Some(snapshot) = &self.build.users.snapshot() else { return Vec::new() };
        let real: BTreeSet<&[u8]> = self.domains_of(path).map(|domain| self.user_domain(domain)).collect();
        let of_logins = self.domains_of(path).map(|domain| self.login_domain(domain));
        let of: BTreeSet<&[u8]> = of_logins.chain(real.iter().copied()).collect();
        let limits = match snapshot.about().has_limits {
            true => self.default_limits.clone(),
            false => Err("its directory could not be read".into()),
        };
        let users = |of| {
            // Nobody makes a table for an alias domain: without one, nobody logs in by its name.
            let of = (of, !real.contains(of));
            Users::of_database(snapshot, of, limits.clone(), (&self.layout, budget))
        };
        of.into_iter().map(users).collect()
    }

    /// What the user database has under the domains of these homes, as a number; 0 without one.
    pub fn print_of_users(&self, homes: &mut dyn Iterator<Item = &[u8]>, seed: &RandomState) -> u64 {
        let Some(snapshot) = self.build.users.snapshot() else { return 0 };
        let domains = homes.flat_map(|home| self.domains_of(home));
        let prints = domains.flat_map(|domain| [self.user_domain(domain), self.login_domain(domain)]);
        seed.hash_one(prints.map(|domain| snapshot.print(domain)).collect::<Vec<_>>())
    }

    /// What the user database says of a domain that has no line in users/assign; `None` when it says nothing of it.
    pub fn unassigned_users(&self, domain: &[u8]) -> Option<Users> {
        let snapshot = self.build.users.snapshot().filter(|snapshot| snapshot.knows(domain))?;
        let is_unassigned = self.assignments.vpopmail_domain(domain).is_none();
        let budget = || Budget::new(self.layout.root.bounds);
        is_unassigned.then(|| Users::of_database(&snapshot, (domain, false), Ok(0), (&self.layout, &budget())))
    }

    /// The limits that the files of a domain directory set.
    fn read_file_limits(&self, root: &Root, home: &[u8], directory: &Directory) -> Result<u64, Trouble> {
        vpopmail::read_limits(root, home, directory)
            .map_err(|cause| cause.of_file(vpopmail::LIMITS))
            .and_then(|limits| limits.map_or_else(|| self.default_limits.clone(), Ok))
    }

    fn read_domain(&self, root: &Root, folders: &Folders, place: &Place<'_>, directory: &Directory, home: &mut Home) {
        if place.assigned.is_empty() {
            return;
        }
        if let Some(snapshot) = self.build.users.snapshot() {
            if !snapshot.about().has_limits {
                let limits = self.read_file_limits(root, &home.path, directory);
                home.users.iter_mut().for_each(|users| users.limits = limits.clone());
            }
            return;
        }
        let (mailboxes, doubt) = self.read_mailboxes(root, folders, &home.path, place, directory);
        let mut users = Users { logins: doubt.map_or(Ok(()), Err), ..Users::of_files(mailboxes) };
        if matches!(users.mailboxes, Mailboxes::Known(_) | Mailboxes::Unreadable(..)) {
            users.limits = self.read_file_limits(root, &home.path, directory);
        }
        if matches!(users.mailboxes, Mailboxes::Known(_)) && users.logins.is_ok() {
            // Its own uid has to be able to enter it; root always is.
            let refusal = place.assigned.iter().filter(|who| who.uid != 0).find_map(|who| home.refusal(*who));
            users.logins = refusal.map_or(Ok(()), |why| Err(why.into()));
        }
        home.users = vec![users];
    }

    /// The uids and gids that users/assign gives the domains of the home at `path`.
    fn assigned(&self, path: &[u8]) -> Vec<Who> {
        let lines = self.domains_of(path).filter_map(|domain| self.assignments.vpopmail_domain(domain));
        lines.map(|line| line.who).collect()
    }
}

/// What stat(2) says of the open home and of the files of its mailboxes; nothing when it cannot be told.
fn stamps_of(directory: &Directory) -> Vec<Option<Stamp>> {
    let own = directory.stamp().map(Some);
    let files = [vpopmail::COMPILED, vpopmail::TEXT].map(|name| directory.stamp_of(name.as_bytes()));
    std::iter::once(own).chain(files).collect::<Result<_, _>>().unwrap_or_default()
}

/// Why no login is taken from a file, in words.
fn has_same(home: &Path) -> String {
    format!("{} has the same file", show_path(home))
}

/// Opens the home at `path`, and tells what was met on the way; or what it is like when that cannot be.
fn open_home(root: &Root, path: &[u8]) -> (Way, Result<Directory, HomeState>) {
    let (way, end) = root.walk(path).into_way();
    // What reads homes may not be allowed to follow it (see confine).
    let by_link = |cause: &std::io::Error| match way.links.iter().find(|link| is_foreign(link.owner)) {
        Some(Link { owner, to, .. }) if is_outside(cause) => {
            let cause = Trouble::from(cause);
            format!("{cause} (a link on the way belongs to uid {owner}, and what it leads to, to uid {to})").into()
        }
        _ => Trouble::from(cause),
    };
    let opened = match end {
        End::Found(found) if found.kind != Kind::Directory => Err(HomeState::Missing("Not a directory".to_owned())),
        End::Found(found) => {
            led_to(|| found.real.clone());
            found.open_directory().map_err(|cause| HomeState::Unreadable(Some(found.perm), by_link(&cause)))
        }
        End::Missing(cause) => Err(HomeState::Missing(cause.desc().to_owned())),
        End::Failed(cause) => Err(HomeState::Unreadable(None, cause.into())),
        End::Silent(silence) => Err(HomeState::Unreadable(None, silence.beside(&root.path(path)).into())),
    };
    (way, opened)
}

/// What a home is like.
#[derive(Clone, Debug)]
pub enum HomeState {
    /// Not there, or no directory: why.
    Missing(String),
    /// There, but it could not be listed: its permissions if they are known, and why.
    Unreadable(Option<Perm>, Trouble),
    /// Its permissions and its dot-qmail files.
    Listed(Perm, DotQmails),
}

/// One directory: a user's home, or a vpopmail domain.
#[derive(Clone, Debug)]
pub struct Home {
    /// Its path, as users/assign or passwd names it.
    pub path: Vec<u8>,
    /// The directories that must be searched to reach it.
    pub above: Vec<Perm>,
    /// What it is like.
    pub state: HomeState,
    /// Its mailboxes and what goes with them, when a `+domain-` line names it: one for each domain under which the user
    /// database has users of the lines, or one where the files of the directory hold them.
    pub users: Vec<Users>,
    /// What it looked like before it was read, where somebody wants to know.
    pub look: Option<look::Look>,
    /// Whether one of its dot-qmail files means something else when another file, elsewhere, is there.
    pub asked_elsewhere: bool,
    /// Whether another reading would find the same: no call failed, and the system refused none.
    pub is_certain: bool,
    /// What stat(2) said of it, and of the files of its mailboxes, before it was read; empty when that is unknown.
    pub stamps: Vec<Option<Stamp>>,
    /// How many steps its budget counted while it was read.
    pub steps: usize,
}

impl Home {
    /// One that could not be read.
    pub fn unreadable(path: &[u8], cause: Trouble) -> Home {
        Home::unreadable_at(path, None, cause)
    }

    /// The same, with its own mode, owner and group where they are known.
    pub fn unreadable_at(path: &[u8], perm: Option<Perm>, cause: Trouble) -> Home {
        Home {
            path: path.to_vec(),
            above: Vec::new(),
            state: HomeState::Unreadable(perm, cause),
            users: Vec::new(),
            look: None,
            asked_elsewhere: false,
            is_certain: false,
            stamps: Vec::new(),
            steps: 0,
        }
    }

    /// Its own mode, owner and group, where they are known.
    pub fn perm(&self) -> Option<Perm> {
        match &self.state {
            HomeState::Missing(_) => None,
            HomeState::Unreadable(perm, _) => *perm,
            HomeState::Listed(perm, _) => Some(*perm),
        }
    }

    /// Why `who` may not enter it (chdir(2)), by the modes that are known; `None` when none of them says so.
    pub fn refusal(&self, who: Who) -> Option<String> {
        let refuses = |directory: &&Perm| !directory.searchable(who);
        let shown = |what: &str, perm: &Perm| {
            format!(
                "uid {}, gid {} may not {what}: mode {:04o}, owner {}:{}",
                who.uid, who.gid, perm.mode, perm.uid, perm.gid
            )
        };
        let above = self.above.iter().find(refuses).map(|perm| shown("search a directory above it", perm));
        above.or_else(|| self.perm().as_ref().filter(refuses).map(|perm| shown("enter it", perm)))
    }

    /// Why the home, or what it holds, could not be read; `None` when nothing is wrong with it.
    pub fn trouble(&self) -> Option<Trouble> {
        let of_users = |users: &Users| match &users.mailboxes {
            Mailboxes::Unreadable(file, cause) => Some(cause.clone().of_file(file)),
            Mailboxes::Unknown(cause) => Some(cause.clone()),
            _ => users.logins.as_ref().err().or(users.limits.as_ref().err()).cloned(),
        };
        match &self.state {
            HomeState::Missing(cause) => Some(cause.as_str().into()),
            HomeState::Unreadable(_, cause) => Some(cause.clone()),
            HomeState::Listed(..) => self.users.iter().find_map(of_users),
        }
    }

    /// What the source says of the domain that it has under this name; `None` when nothing could be read.
    pub fn users_of(&self, domain: &[u8]) -> Option<&Users> {
        self.users.iter().find(|users| users.of.as_ref().is_none_or(|of| of == domain))
    }

    /// The mailboxes of the domain that the source has under this name.
    pub fn mailboxes_of(&self, domain: &[u8]) -> &Mailboxes {
        self.users_of(domain).map_or(&Mailboxes::Absent, |users| &users.mailboxes)
    }

    /// The mailboxes of the domain that the source has under this name, when they can be known.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn known_mailboxes(&self, domain: &[u8]) -> Result<&Vpasswd, Trouble> {
        match (&self.state, self.mailboxes_of(domain)) {
            (_, Mailboxes::Known(mailboxes)) => Ok(mailboxes),
            (_, Mailboxes::Unreadable(file, cause)) => Err(cause.clone().of_file(file)),
            (_, Mailboxes::Elsewhere(cause) | Mailboxes::Unknown(cause)) => Err(cause.clone()),
            (HomeState::Missing(cause), Mailboxes::Absent) => Err(cause.as_str().into()),
            (HomeState::Unreadable(_, cause), Mailboxes::Absent) => Err(cause.clone()),
            (HomeState::Listed(..), Mailboxes::Absent) => Err(vpopmail::ABSENT.into()),
        }
    }
}

/// Where homes come from: read from the host one at a time, or made by a test.
pub trait Homes {
    /// The home at this path.
    fn home(&self, path: &[u8]) -> std::sync::Arc<Home>;

    /// What the user database says of a domain that has no line in users/assign; `None` when it says nothing of it.
    fn unassigned(&self, _domain: &[u8]) -> Option<std::sync::Arc<Users>> {
        None
    }

    /// The names of a domain that the published recipient table accepts, where they are kept because vpopmail's user
    /// database is not read; else none.
    fn kept_names(&self, _domain: &[u8]) -> Vec<&[u8]> {
        Vec::new()
    }
}
