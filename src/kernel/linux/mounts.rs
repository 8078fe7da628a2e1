//! What is mounted where, by /proc/self/mountinfo (proc(5)).

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::kernel::Mount;

/// The table of them.
const TABLE: &str = "/proc/self/mountinfo";

/// Kinds that the kernel answers for itself.
const OF_THE_KERNEL: [&[u8]; 22] = [
    b"autofs",
    b"binfmt_misc",
    b"bpf",
    b"cgroup",
    b"cgroup2",
    b"configfs",
    b"debugfs",
    b"devpts",
    b"devtmpfs",
    b"efivarfs",
    b"fusectl",
    b"hugetlbfs",
    b"mqueue",
    b"nsfs",
    b"proc",
    b"pstore",
    b"ramfs",
    b"rpc_pipefs",
    b"securityfs",
    b"sysfs",
    b"tmpfs",
    b"tracefs",
];

/// All that is mounted; `None` where that cannot be read.
pub fn mounts() -> Option<Vec<Mount>> {
    std::fs::read(TABLE).ok().map(|text| parse(&text))
}

/// What is ready for POLLPRI when something is mounted or unmounted; `None` where that cannot be known.
pub fn mount_events() -> Option<File> {
    File::open(TABLE).ok()
}

fn parse(text: &[u8]) -> Vec<Mount> {
    let parse_line = |line: &[u8]| {
        let mut fields = line.split(|b| *b == b' ');
        let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let device = fields.nth(1)?;
        let point = PathBuf::from(OsString::from_vec(unescape(fields.nth(1)?)));
        let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
        let (kind, source) = (unescape(rest.next()?), unescape(rest.next().unwrap_or_default()));
        let has_no_device = device.starts_with(b"0:") && !OF_THE_KERNEL.contains(&&kind[..]);
        Some(Mount { id, point, has_no_device, kind, source })
    };
    text.split(|b| *b == b'\n').filter_map(parse_line).collect()
}

/// `\040` and the like, three octal digits, as the bytes that they stand for.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, tail)) = rest.split_first() {
        let octal = |digits: &[u8; 3]| {
            digits.iter().try_fold(0_u8, |number, digit| {
                number.checked_mul(8)?.checked_add(digit.checked_sub(b'0').filter(|digit| *digit < 8)?)
            })
        };
        match tail.first_chunk().and_then(octal).filter(|_| *byte == b'\\') {
            Some(stands_for) => {
                bytes.push(stands_for);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_path_belongs_to_the_last_file_system_that_is_mounted_nearest_above_it() {
        let text = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            40 22 0:30 / /srv/mail rw,relatime shared:9 master:2 - nfs4 filer:/mail rw\n\
            41 40 0:31 / /srv/mail rw - fuse.sshfs joe@host:/my\\040mail rw\n\
            42 22 0:5 / /srv/mail/a\\134b rw - proc proc rw\n\
            no line\n\n";
        let mounts = parse(text);
        let found = |path: &str| Mount::of(&mounts, Path::new(path)).map(|mount| (mount.id, mount.words()));
        assert_eq!(found("/srv/mailbox"), Some((22, "ext4 from /dev/sda1".to_owned())));
        assert_eq!(found("/srv/mail"), Some((41, "fuse.sshfs from joe@host:/my mail".to_owned())));
        assert_eq!(found("/srv/mail/a\\b/c"), Some((42, "proc from proc".to_owned())));
        let of_network: Vec<u64> = mounts.iter().filter(|mount| mount.has_no_device).map(|mount| mount.id).collect();
        assert_eq!(of_network, [40, 41]);
        assert!(Mount::of(&super::mounts().unwrap(), Path::new("/")).is_some());
    }
}
