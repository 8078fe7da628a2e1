//! Hashes and passwords, held against the system's crypt(3).

mod support;

use qmail_updater::front::crypt::{Verdict, compare};
use qmail_updater::host::crypt::{Fault, judge};
use support::{has, hex, skip, system_crypt};

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    fn salt(&mut self, length: usize) -> String {
        let legal = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        (0..length).map(|_| char::from(legal[self.next(64)])).collect()
    }

    fn password(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| u8::try_from(1 + self.next(255)).unwrap()).collect()
    }
}

#[test]
fn hashes_are_compared_as_the_systems_crypt_compares_them() {
    if !has("perl") {
        return skip("hashes_are_compared_as_the_systems_crypt_compares_them", "perl is not installed");
    }
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut asked = Vec::new();
    for length in [0, 1, 8, 9, 16, 64, 72, 73, 255] {
        let salt = |numbers: &mut Numbers, most: usize| {
            let length = numbers.next(most + 1);
            numbers.salt(length)
        };
        let settings = [
            numbers.salt(2),
            format!("$1${}$", salt(&mut numbers, 8)),
            format!("$1${}$", numbers.salt(12)),
            format!("$5${}$", salt(&mut numbers, 16)),
            format!("$6${}$", salt(&mut numbers, 16)),
            format!("$6${}$", numbers.salt(20)),
            format!("$5$rounds={}${}$", 1_000 + numbers.next(2_000), salt(&mut numbers, 16)),
            format!("$6$rounds={}${}$", 1_000 + numbers.next(2_000), salt(&mut numbers, 16)),
            "$6$rounds=5000$salt$".to_owned(),
            format!("$2a$04${}", numbers.salt(22)),
            format!("$2b$04${}", numbers.salt(22)),
            format!("$2y$04${}", numbers.salt(22)),
            format!("$y$j75${}$", numbers.salt(22)),
            // Settings that crypt(3) refuses, some of them.
            "!!".to_owned(),
            "x".to_owned(),
            "$1$".to_owned(),
            "$6$rounds=10$salt$".to_owned(),
            "$5$rounds=0$salt$".to_owned(),
            "$2b$03$abcdefghijklmnopqrstuv".to_owned(),
            "$2b$4$abcdefghijklmnopqrstuv".to_owned(),
            "$y$j7$salt$".to_owned(),
            "*0".to_owned(),
        ];
        let password = numbers.password(length);
        asked.extend(settings.into_iter().map(|setting| (password.clone(), setting)));
    }
    // What not each crypt(3) knows.
    let (rare, mut settings) = (numbers.password(20), Vec::new());
    for length in [0, 3, 8, 15] {
        settings.push(format!("$7$4/..../....{}$", numbers.salt(length)));
        settings.push(format!("$gy$j75${}$", numbers.salt(4 * (length / 4))));
        settings.push(format!("$sha1$200${}$", numbers.salt(length)));
        settings.push(format!("$md5${}$", numbers.salt(length)));
        settings.push(format!("_J9..{}", numbers.salt(4)));
        settings.push(numbers.salt(2 + 11 * (length + 1)));
        settings.push("$3$".to_owned());
        settings.push(format!("$2x$04${}", numbers.salt(22)));
        settings.push(format!("$5$rounds=1001$a b;{}$", numbers.salt(length)));
        settings.push(format!("$1$;.:-_~{length}$"));
    }
    let rare = settings.into_iter().map(|setting| (rare.clone(), setting));
    // As Debian makes them.
    asked.push((b"secret".to_vec(), "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$".to_owned()));
    asked.push((b"secret".to_vec(), "$y$j9T$abcdefghijkl$".to_owned()));
    asked.extend(rare);
    let hashes = system_crypt(&asked);
    // What crypt(3) makes, some password has; of the rest it makes what begins with a *.
    for hash in &hashes {
        let judged = judge(hash.as_bytes());
        assert_eq!(judged == Err(Fault::Locked), hash.starts_with('*'), "{hash}: {judged:?}");
        assert!(judged.is_ok() || hash.starts_with('*'), "{hash}: {judged:?}");
    }
    let mut tries = Vec::new();
    for ((password, _), hash) in asked.iter().zip(&hashes) {
        let mut others = vec![password.clone(), [password, &b"x"[..]].concat()];
        others.extend(password.split_last().map(|(_, shorter)| shorter.to_vec()));
        others.extend(password.split_first().map(|(first, rest)| [&[first ^ 0x80 | 1], rest].concat()));
        others.push(password[..password.len().min(8)].to_vec());
        others.push(password[..password.len().min(72)].to_vec());
        tries.extend(others.into_iter().map(|other| (other, hash.clone())));
    }
    let computed = system_crypt(&tries);
    let mut same = 0;
    for ((password, stored), computed) in tries.iter().zip(&computed) {
        // As qmail-smtpd compares them.
        let is_same = computed == stored && !stored.starts_with('*');
        same += usize::from(is_same);
        let verdict = compare(password, stored.as_bytes());
        assert_eq!(verdict == Verdict::Same, is_same, "{} {stored}", hex(password));
        assert!(!matches!(verdict, Verdict::Unable(_)), "{stored}");
    }
    assert!(same > 200 && same < tries.len() / 2, "{same} of {}", tries.len());
}

#[test]
fn no_change_of_a_hash_makes_another_password_right() {
    if !has("perl") {
        return skip("no_change_of_a_hash_makes_another_password_right", "perl is not installed");
    }
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let password = b"correct horse".to_vec();
    let settings = [
        "ab".to_owned(),
        "_J9..rasm".to_owned(),
        "$1$saltsalt$".to_owned(),
        "$5$rounds=1000$saltstring$".to_owned(),
        "$6$rounds=1000$saltstring$".to_owned(),
        "$2b$04$abcdefghijklmnopqrstuu".to_owned(),
        "$2a$04$abcdefghijklmnopqrstuu".to_owned(),
        "$y$j75$abcdefghijkl$".to_owned(),
        // An empty salt.
        "$y$j75$$".to_owned(),
        "$gy$j75$abcdefghijkl$".to_owned(),
        "$7$4/..../....abcdefgh$".to_owned(),
        "$sha1$200$abcdefgh$".to_owned(),
    ];
    let asked: Vec<_> = settings.into_iter().map(|setting| (password.clone(), setting)).collect();
    let mut tries = Vec::new();
    for hash in system_crypt(&asked).iter().filter(|hash| !hash.starts_with('*')) {
        for round in 0..206 {
            let (mut changed, at) = (hash.clone().into_bytes(), numbers.next(hash.len()));
            // A changed digit of the costs may make crypt(3) compute for hours.
            let is_cost = at < hash.find("salt").or(hash.find("abcd")).or(hash.find("rasm")).unwrap_or(0);
            match round % 5 {
                0 if !is_cost => changed[at] = 33 + u8::try_from(numbers.next(94)).unwrap(),
                1 => changed.truncate(at),
                2 if !is_cost => changed.insert(at, b"./aZ$:*"[numbers.next(7)]),
                3 if !is_cost => drop(changed.remove(at)),
                4 if !is_cost && at + 1 < hash.len() => changed.swap(at, at + 1),
                _ => {}
            }
            tries.push((password.clone(), String::from_utf8(changed).unwrap()));
        }
    }
    assert!(tries.len() > 2_000, "{}", tries.len());
    let (computed, mut same) = (system_crypt(&tries), 0);
    for ((password, stored), computed) in tries.iter().zip(&computed) {
        let is_same = computed == stored && !stored.starts_with('*');
        same += usize::from(is_same);
        assert_eq!(compare(password, stored.as_bytes()) == Verdict::Same, is_same, "{stored}");
    }
    assert!(same > 50 && same < tries.len() / 2, "{same}");
}

#[test]
fn what_no_password_has_and_what_would_take_hours_is_not_the_way_in() {
    let word = b"secret";
    let full = "$y$j75$abcdefghijkl$tIEIK0tRpVYnb5EbxZDlFLI0ryBZQGiiMcG7Xj5gBz0";
    // A hash that is cut off, or not there at all, matches nothing.
    for cut in 0..full.len() {
        assert_eq!(compare(word, &full.as_bytes()[..cut]), Verdict::Different, "{cut}");
    }
    for malformed in [
        "",
        "*",
        "!",
        "x",
        "secret",
        "$",
        "$$",
        "$1",
        "$6$",
        "$6$$",
        "$2b$",
        "$2b$10$",
        "$y$$$",
        "$8$a$b",
        "{PLAIN}secret",
    ] {
        assert_eq!(compare(word, malformed.as_bytes()), Verdict::Different, "{malformed}");
        assert_eq!(compare(b"", malformed.as_bytes()), Verdict::Different, "{malformed}");
    }
    for malformed in
        [&b"\x80\xc2\x80aaaaaaaaaa"[..], b"$6$\xc3\xa9$a", b"$1$a b$c", b"$6$a\n$b", b"\xc2\x80\xc2\x80aaaaaaaaa"]
    {
        assert_eq!(compare(word, malformed), Verdict::Different, "{}", hex(malformed));
    }
    let salt = "abcdefghijklmnopqrstuu5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";
    for endless in [
        format!("$6$rounds=999999999$salt${:x<86}", ""),
        format!("$5$rounds=99999999999999999999999$salt${:x<43}", ""),
        format!("$5$rounds=+999999999$salt${:x<43}", ""),
        format!("$2b$31${salt}"),
        "$y$jHT$abcdefghijkl$tIEIK0tRpVYnb5EbxZDlFLI0ryBZQGiiMcG7Xj5gBz0".to_owned(),
        "$sha1$99999999$abcdefgh$x".to_owned(),
        // crypt(3) reads these as strtoul(3) does.
        "$sha1$-4294000000$abcdefgh$W939Y.o2NLj3DRkWx3a2z6b6gYlw".to_owned(),
        "$sha1$+99999999$abcdefgh$x".to_owned(),
        "$md5,rounds=-4294000000$abcdefgh$x".to_owned(),
        "_zzzzabcdxxxxxxxxxxx".to_owned(),
        "$md5,rounds=99999999$abcdefgh$x".to_owned(),
        "$7$U/..../....abcdefgh$tIEIK0tRpVYnb5EbxZDlFLI0ryBZQGiiMcG7Xj5gBz0".to_owned(),
        "$gy$jHT$abcdefghijkl$tIEIK0tRpVYnb5EbxZDlFLI0ryBZQGiiMcG7Xj5gBz0".to_owned(),
        // t = 1
        "$y$j9T/.$abcdefghijkl$tIEIK0tRpVYnb5EbxZDlFLI0ryBZQGiiMcG7Xj5gBz0".to_owned(),
    ] {
        assert_eq!(compare(word, endless.as_bytes()), Verdict::Unable("a hash that takes too long"), "{endless}");
    }
    // A cost that crypt(3) does not take.
    assert_eq!(
        compare(word, format!("$2b$03${salt}").as_bytes()),
        Verdict::Unable("a hash that crypt(3) of this system does not compute")
    );
    // A password of so many bytes has no hash.
    assert_eq!(compare(&[b'x'; 600], full.as_bytes()), Verdict::Different);
}
