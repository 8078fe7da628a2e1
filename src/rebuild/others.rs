//! The tables of other qmails, published beside validrcptto.cdb and from it: so what is kept or held there is kept here.

use std::io::ErrorKind;
use std::sync::PoisonError;

use crate::cdb::{self, Chunk};
use crate::error::{Denied, Error, is_denied_to_us, show_path};
use crate::fs::Stamp;
use crate::host::control::{self, Accepted};
use crate::publish::{Look, Staged, Target};
use crate::report::{self, Code, Note};
use crate::settings::{Left, Other, OtherKind, Settings};
use crate::tables::others::{Entries, Made};
use crate::tables::recipients::bound_notes;
use crate::tables::smtpd;
use crate::text::count;

use super::TableDone;

/// So many notes are said of one table.
const MAX_NOTES: usize = 50;

/// Where one is published, and how it must look there.
fn target(settings: &Settings, other: &Other) -> Result<(Target, Look), Error> {
    Ok((Target::find(&settings.layout.root, &other.path)?, Look { mode: 0o644, owner: None }))
}

/// Where all are published.
///
/// # Errors
/// Those of [`Target::find`].
pub(super) fn targets(settings: &Settings) -> Result<Vec<Target>, Error> {
    settings.others.iter().map(|other| target(settings, other).map(|(target, _)| target)).collect()
}

/// Publishes all, from the validrcptto.cdb that is published and has this stamp. What became of each, and its stamp.
///
/// # Errors
/// Those of reading validrcptto.cdb and rcpthosts, and of publishing.
pub(super) fn publish(
    settings: &Settings,
    recipients: Option<&Stamp>,
) -> Result<Vec<(TableDone, Option<Stamp>)>, Error> {
    settings.others.iter().map(|other| publish_one(settings, other, recipients)).collect()
}

fn publish_one(
    settings: &Settings,
    other: &Other,
    recipients: Option<&Stamp>,
) -> Result<(TableDone, Option<Stamp>), Error> {
    let layout = &settings.layout;
    let (target, look) = target(settings, other)?;
    let domains = control::read_accepted(&layout.root, &layout.qmail)?;
    let now = layout.root.stamp_of(&other.path).ok();
    let mut left = other.left.lock().unwrap_or_else(PoisonError::into_inner);
    if let (Some((left, records)), Some(recipients), Some(now)) = (&*left, recipients, &now)
        && (&left.recipients, &left.domains, &left.table) == (recipients, &domains, now)
    {
        return Ok((done(&target, false, *records), Some(now.clone())));
    }
    let source = show_path(&target.name);
    if other.kind == OtherKind::Sagredo && !domains.is_a_list() {
        report::say_all(&[Note::warning(format!(
            "{source}: empty, because there is no control/rcpthosts: each key would open a relay"
        ))]);
    }
    let made = made(settings, other.kind, &domains)?;
    let mut notes: Vec<Note> = made.notes.iter().map(|note| Note::warning(format!("{source}: {note}"))).collect();
    bound_notes(&mut notes, MAX_NOTES, &format!("{source}: "));
    report::say_all(&notes);
    target.remove_litter()?;
    let mut staged = Staged::create(&target, look)?;
    let mut chunk = Chunk::default();
    for key in &made.keys {
        chunk.add(&[key], &[b""]);
        if chunk.size() > 1 << 16 {
            staged.add(&std::mem::take(&mut chunk))?;
        }
    }
    staged.add(&chunk)?;
    let ready = staged.finish()?;
    let (is_new, records) = (ready.is_new(), ready.records);
    let in_place = ready.publish()?;
    if let Some(error) = in_place.unsynced {
        let error = error.then("the new file is published, but after a crash of the machine the old one may be there");
        report::say_all(&[Note::alert(error.to_string())]);
    }
    *left = match (recipients, &in_place.stamp) {
        (Some(recipients), Some(table)) => {
            Some((Left { recipients: recipients.clone(), domains, table: table.clone() }, records))
        }
        _ => None,
    };
    Ok((done(&target, is_new, records), in_place.stamp))
}

/// What a table says, by the validrcptto.cdb that is published.
fn made(settings: &Settings, kind: OtherKind, domains: &Accepted) -> Result<Made, Error> {
    let (layout, entries) = (&settings.layout, read(settings)?);
    Ok(match kind {
        OtherKind::Sqmail => {
            let open = control::read_open_for_sqmail(&layout.root, &layout.qmail);
            entries.sqmail(layout.break_byte, |domain| open.contains(domain))
        }
        OtherKind::Sagredo if !domains.is_a_list() => Made::default(),
        OtherKind::Sagredo => entries.sagredo(layout.break_byte, |domain| domains.names(domain)),
    })
}

/// What is wrong with each as it is published: missing, damaged, or not what validrcptto.cdb gives.
pub fn look(settings: &Settings, denied: &mut Denied) -> Vec<Note> {
    settings.others.iter().filter_map(|other| look_at(settings, other, denied)).collect()
}

fn look_at(settings: &Settings, other: &Other, denied: &mut Denied) -> Option<Note> {
    let (target, _) = match target(settings, other) {
        Ok(found) => found,
        Err(error) if error.is_denied() => {
            denied.add(settings.layout.root.path(&other.path));
            return None;
        }
        Err(error) => {
            return Some(Note::alert(format!("{error}; nothing can be published there")).of(Code::TablePlace));
        }
    };
    let follows = match other.kind {
        OtherKind::Sqmail => "s/qmail may accept every recipient",
        OtherKind::Sagredo => "qmail-smtpd leaves every recipient to its next check",
    };
    let name = show_path(&target.name);
    let image = match target.open().and_then(|published| published.read()) {
        Ok(image) => image,
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            return Some(
                Note::alert(format!("{name}: not there; {follows}; qmail-updater rebuild makes it"))
                    .of(Code::TableMissing),
            );
        }
        Err(cause) if is_denied_to_us(&cause) => {
            denied.add(target.name);
            return None;
        }
        Err(cause) => {
            return Some(Note::alert(Error::io("read", &target.name, cause).to_string()).of(Code::TableUnreadable));
        }
    };
    let published = match cdb::Reader::new(&image).and_then(|published| published.check().map(|()| published)) {
        Ok(published) => published,
        Err(corrupt) => {
            return Some(
                Note::alert(format!("{name}: {corrupt}; {follows}; qmail-updater rebuild makes it again"))
                    .of(Code::TableDamaged),
            );
        }
    };
    // Of a validrcptto.cdb that cannot be read others tell.
    let domains = control::read_accepted(&settings.layout.root, &settings.layout.qmail).ok()?;
    let mut made = made(settings, other.kind, &domains).ok()?;
    let foreign = published.records().filter(|record| !made.keys.remove(record.key)).count();
    let differences = foreign + made.keys.len();
    (differences > 0).then(|| {
        let changes = count(differences, "change");
        Note::warning(format!(
            "{name}: not what validrcptto.cdb gives: {changes}; qmail-updater rebuild makes it again"
        ))
        .of(Code::OtherTableStale)
    })
}

fn done(target: &Target, published: bool, records: u64) -> TableDone {
    TableDone { path: target.name.clone(), name: target.base_name(), published, records, difference: None }
}

/// What the published validrcptto.cdb says.
fn read(settings: &Settings) -> Result<Entries, Error> {
    let (target, _) = settings.recipients_target()?;
    let read = || -> std::io::Result<Entries> {
        let published = target.open()?;
        let cdb = published.cdb()?;
        let (mut records, mut entries) = (cdb.records()?, Entries::default());
        while let Some(record) = records.current() {
            entries.add(record.key, smtpd::accepts(record.data));
            records.advance()?;
        }
        records.damage().map_or(Ok(entries), |damage| Err(std::io::Error::other(damage)))
    };
    read().map_err(|cause| Error::io("read", &target.name, cause))
}
