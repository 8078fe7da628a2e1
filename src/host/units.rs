//! What systemd's units say about /tmp (systemd.unit(5), systemd.exec(5)): a service with a /tmp of its own does not see
//! a pipe in the host's.

use std::collections::BTreeMap;

use crate::fs::{End, Root};
use crate::text::{lines, trim};

/// Where units are, the first one that has a name counts; and drop-ins, of which all count, those named last over others.
const FOLDERS: [&[u8]; 5] = [
    b"/etc/systemd/system",
    b"/run/systemd/system",
    b"/usr/local/lib/systemd/system",
    b"/usr/lib/systemd/system",
    b"/lib/systemd/system",
];
/// Services whose programs (qmailadmin, vqadmin, a webmail's plugin) call vpopmail, by what their names begin with.
const CALLERS: [&[u8]; 10] =
    [b"apache", b"httpd", b"nginx", b"lighttpd", b"php", b"fcgiwrap", b"uwsgi", b"vpopmail", b"courier", b"dovecot"];

/// The services that may call vpopmail and have a /tmp of their own, each with the file that decides, as the host names
/// it.
pub fn with_private_tmp(root: &Root) -> Vec<(Vec<u8>, Vec<u8>)> {
    let names = |folder: &[u8]| -> Vec<Vec<u8>> {
        let End::Found(found) = root.walk(folder).end else { return Vec::new() };
        let listed = found.open_directory().and_then(|directory| directory.entries(|_| true));
        listed.unwrap_or_default().into_iter().map(|(name, _)| name).collect()
    };
    let is_caller = |name: &[u8]| name.ends_with(b".service") && CALLERS.iter().any(|caller| name.starts_with(caller));
    let mut units: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    // By name, those of the folder that counts last.
    let mut drop_ins: BTreeMap<(Vec<u8>, Vec<u8>), Vec<u8>> = BTreeMap::new();
    for folder in FOLDERS {
        for name in names(folder) {
            let path = [folder, b"/", &name].concat();
            if is_caller(&name) {
                units.entry(name).or_insert(path);
            } else if let Some(unit) = name.strip_suffix(b".d").filter(|unit| is_caller(unit)) {
                for file in names(&path).into_iter().filter(|file| file.ends_with(b".conf")) {
                    let path = [&path[..], b"/", &file].concat();
                    drop_ins.entry((unit.to_vec(), file)).or_insert(path);
                }
            }
        }
    }
    let decides = |path: &Vec<u8>| {
        let text = root.read(path).ok().flatten()?;
        private_tmp(&text).map(|on| (on, path.clone()))
    };
    let private = |(name, path): (Vec<u8>, Vec<u8>)| {
        let more = drop_ins.iter().filter(|((unit, _), _)| *unit == name).map(|(_, path)| path);
        let (on, by) = std::iter::once(&path).chain(more).filter_map(decides).next_back()?;
        on.then_some((name, by))
    };
    units.into_iter().filter_map(private).collect()
}

/// What a unit file says last; `None` when it says nothing.
fn private_tmp(text: &[u8]) -> Option<bool> {
    let value = |line: &[u8]| {
        let (name, value) = line.split_at(line.iter().position(|b| *b == b'=')?);
        let value = trim(&value[1..]).to_ascii_lowercase();
        (trim(name) == b"PrivateTmp").then(|| matches!(&value[..], b"1" | b"yes" | b"true" | b"on" | b"disconnected"))
    };
    lines(text).filter_map(|(_, line)| value(line)).last()
}
