//! auth.cdb: who may log in, with which data (docs/rules.md, 4.6).

mod support;

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use support::{MailHost, filled, is_root, me};

const COM: &str = "/home/vpopmail/domains/example.com";

fn keys(host: &MailHost) -> Vec<String> {
    host.rebuild();
    host.logins().into_keys().collect()
}

/// The sample host with one mailbox in example.com, and no authvars.
fn one_mailbox(record: &str) -> MailHost {
    let host = MailHost::sample();
    host.remove("/var/qmail/control/authvars").remove("/home/vpopmail/etc/defaultdomain");
    host.mailboxes(COM, &[record]).mailboxes("/home/vpopmail/domains/example.net", &[]);
    host
}

#[test]
fn every_domain_of_users_assign_has_its_logins_alias_domains_too() {
    let host = one_mailbox("ann:$1$a$b:1:0:N:/d:Q");
    // Neither virtualdomains nor .qmail-default is asked, and a domain needs no dot.
    host.write("/var/qmail/control/virtualdomains", "").remove(&format!("{COM}/.qmail-default"));
    host.write("/var/qmail/users/assign", format!("+Example.COM-:x:89:89:{COM}:-::\n+local-:x:89:89:{COM}:-::\n.\n"));
    assert_eq!(keys(&host), ["ann@example.com", "ann@local"]);
}

#[test]
fn effective_flags_decide() {
    let limits = format!("{COM}/.qmailadmin-limits");
    for (record, own_limits, default_limits, may) in [
        ("ann:$1$a$b:1:0:N:/d:Q", None, "", true),
        ("ann:$1$a$b:1:2048:N:/d:Q", None, "", false),
        ("ann:$1$a$b:1:26:N:/d:Q", None, "", true),
        ("ann:$1$a$b:1:0:N:/d:Q", Some("disable_smtp 0\n"), "", false),
        ("ann:$1$a$b:1:8192:N:/d:Q", Some("disable_smtp\n"), "", true),
        ("ann:$1$a$b:1:0:N:/d:Q", None, "disable_smtp\n", false),
        ("ann:$1$a$b:1:0:N:/d:Q", Some("maxforwards -1\n"), "disable_smtp\n", true),
        ("ann:$1$a$b:1", None, "", false),
        ("Ann:$1$a$b:1:0:N:/d:Q", None, "", false),
        ("ann:{MD5-CRYPT}$1$a$b:1:0:N:/d:Q", None, "", true),
        ("ann::1:0:N:/d:Q", None, "", false),
        ("ann:!$1$a$b:1:0:N:/d:Q", None, "", false),
    ] {
        let host = one_mailbox(record);
        if let Some(own_limits) = own_limits {
            host.write(&limits, own_limits);
        }
        host.write("/home/vpopmail/etc/vlimits.default", default_limits);
        host.rebuild();
        let logins = host.logins();
        assert_eq!(
            logins.get("ann@example.com").map(String::as_str),
            may.then_some("$1$a$b"),
            "{record} {own_limits:?}"
        );
        assert_eq!(logins.len(), if may { 2 } else { 0 }, "example.com and its alias example.edu: {logins:?}");
    }
}

#[test]
fn the_default_domain_logs_in_by_bare_names() {
    let host = one_mailbox("ann:$1$a$b:1:0:N:/d:Q");
    host.mailboxes(COM, &["ann:$1$a$b:1:0:N:/d:Q", "a/b:$1$a$b:1:0:N:/d:Q", "it's:$1$a$b:1:0:N:/d:Q"]);
    for (content, works) in
        [("Example.COM\nexample.net\n", true), ("example.com", true), ("\nexample.com\n", false), ("", false)]
    {
        host.write("/home/vpopmail/etc/defaultdomain", content);
        let bare: Vec<String> = keys(&host).into_iter().filter(|login| !login.contains('@')).collect();
        assert_eq!(bare, if works { &["ann", "it's"][..] } else { &[] }, "{content:?}");
    }
    // vpopmail takes the line as it stands.
    for content in ["  Example.COM\n", "example.com \n", "example.com\r\n", "example.com\t"] {
        host.write("/home/vpopmail/etc/defaultdomain", content);
        let answer = host.rebuild();
        let told = "defaultdomain: line 1: the blank or CR beside example.com is part of the name, which vpopmail then does \
                    not find; nobody logs in by a bare name";
        assert!(answer.stderr.contains(told), "{content:?}: {}", answer.stderr);
        assert!(host.logins().keys().all(|login| login.contains('@')), "{content:?}");
    }
    host.write("/home/vpopmail/etc/defaultdomain", "example.org\n");
    let answer = host.rebuild();
    assert!(
        answer.stderr.contains("defaultdomain: line 1: no domain of users/assign; nobody logs in by a bare name"),
        "{}",
        answer.stderr
    );
    assert!(host.logins().keys().all(|login| login.contains('@')));
}

#[test]
fn authvars_are_published_sorted_by_name_and_the_most_specific_wins() {
    let host = one_mailbox("ann:$1$a$b:1:0:N:/d:Q");
    host.write("/home/vpopmail/etc/defaultdomain", "example.com\n");
    host.write(
        "/var/qmail/control/authvars",
        "* B=\"1\",A=\"1\"\n@EXAMPLE.com B=\"2, or 3\" , C=\"\"\nann@example.com A=\"9\"\n",
    );
    host.rebuild();
    let logins = host.logins();
    let full = "$1$a$b,A=\"9\",B=\"2, or 3\",C=\"\"";
    assert_eq!(logins["ann@example.com"], full);
    assert_eq!(logins["ann"], full, "a bare login counts as one of the default domain");
    assert_eq!(logins["ann@example.edu"], "$1$a$b,A=\"1\",B=\"1\"");
}

#[test]
fn an_expired_login_is_left_out_and_the_others_say_when() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let host = one_mailbox("ann:$1$a$b:1:0:N:/d:Q");
    let (past, future) = (now - 1, now + 86_400);
    let line = format!("@example.com PASSWORD_EXPIRES=\"{past}\"\n@example.edu PASSWORD_EXPIRES=\"{future}\"\n");
    host.write("/var/qmail/control/authvars", line);
    host.rebuild();
    let logins = host.logins();
    assert_eq!(logins.keys().collect::<Vec<_>>(), ["ann@example.edu"]);
    assert_eq!(logins["ann@example.edu"], format!("$1$a$b,PASSWORD_EXPIRES=\"{future}\""));
}

#[test]
fn system_accounts_log_in_when_asked_for_and_the_default_domain_comes_first() {
    let (uid, gid) = if is_root() { (1001, 1001) } else { me() };
    let host = one_mailbox("ann:$1$a$b:1:0:N:/d:Q");
    host.write("/home/vpopmail/etc/defaultdomain", "example.com\n");
    let names = ["ann", "carol", "dave", "locked", "expired", "Upper", "homeless"];
    let account = |name: &&str| {
        let home = if *name == "homeless" { "/home/gone" } else { "/home/carol" };
        format!("{name}:x:{uid}:{gid}::{home}:/bin/sh\n")
    };
    host.write("/etc/passwd", names.iter().map(account).collect::<String>() + "root:x:0:0::/root:/bin/sh\n");
    if is_root() {
        host.own("/home/carol", uid, gid);
    }
    let line = |name: &str, crypt: &str, rest: &str| format!("{name}:{}:{rest}\n", filled(crypt));
    let shadow = [
        line("root", "$6$r$r", "1:0:99999:7:::"),
        line("ann", "$6$s$a", "1::::::"),
        line("carol", "$6$s$c", "1:0:99999:7:::"),
        line("locked", "!$6$s$l", "1::::::"),
        line("expired", "$6$s$e", "1:0:9:7:::"),
        line("Upper", "$6$s$u", "1::::::"),
        line("homeless", "$6$s$h", "1::::::"),
        // Nor does anybody have a hash that was cut off.
        "dave:$6$s$c:1:0:99999:7:::\n".to_owned(),
    ];
    host.write("/etc/shadow", shadow.concat());
    let before = keys(&host);
    assert_eq!(before, ["ann", "ann@example.com", "ann@example.edu"]);
    let answer = host.run(&["--auth-system-users", "rebuild"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let logins = host.logins();
    assert_eq!(logins.keys().collect::<Vec<_>>(), ["ann", "ann@example.com", "ann@example.edu", "carol"]);
    assert_eq!((&logins["ann"][..], &logins["carol"][..]), ("$1$a$b", "$6$s$c"));
    fs::remove_file(host.path("/etc/shadow")).unwrap();
    let answer = host.run(&["--auth-system-users", "rebuild"]);
    assert_eq!(answer.code, 111);
    assert!(answer.stderr.contains("unable to read") && answer.stderr.contains("etc/shadow"), "{}", answer.stderr);
}

#[test]
fn the_text_vpasswd_counts_only_without_a_vpasswd_cdb() {
    let host = one_mailbox("ann:$1$a$b:1:0:N:/d:Q");
    assert!(
        !keys(&host).contains(&"carla@example.com".to_owned()) && keys(&host).contains(&"ann@example.com".to_owned())
    );
    host.remove(&format!("{COM}/vpasswd.cdb"));
    assert!(keys(&host).contains(&"bob@example.com".to_owned()));
}

#[test]
fn no_hash_is_ever_shown_but_by_list_logins_for_cdbmake() {
    let host = one_mailbox("ann:$1$salt$secrethash:1:0:N:/d:Q:clearpassword");
    for arguments in [&["rebuild", "--dry-run"][..], &["rebuild"], &["list", "logins"], &["explain", "ann@example.com"]]
    {
        let answer = host.run(arguments);
        let said = format!("{}{}", answer.stdout, answer.stderr);
        assert!(said.contains("ann") || said.contains("logins="), "{said}");
        assert!(!said.contains("secrethash") && !said.contains("clearpassword"), "{said}");
    }
    let raw = host.run(&["list", "logins", "--format", "cdbmake"]).stdout;
    let hash = filled("$1$salt$secrethash");
    assert_eq!(raw, format!("+15,30:ann@example.com->{hash}\n+15,30:ann@example.edu->{hash}\n\n"));
}

#[test]
fn a_scheme_before_a_hash_makes_a_login_only_where_vpopmail_cuts_it_off() {
    let hash = "$1$abcdefgh$1XTB0/kFEyR8j6jlTzTQd/";
    let host = one_mailbox(&format!("ann:{{MD5-CRYPT}}{hash}:1:0:N:/d:Q"));
    let host_of = |version: Option<&str>| {
        let config = version.map_or(String::new(), |version| format!("#define PACKAGE_VERSION \"{version}\"\n"));
        host.write("/home/vpopmail/include/config.h", config);
        host.rebuild();
        host.logins().get("ann@example.com").cloned()
    };
    // Where nothing tells, a login that may work is not taken away.
    for (version, works) in [(None, true), (Some("5.6.13"), true), (Some("5.4.33"), false), (Some("5.6.0"), true)] {
        assert_eq!(host_of(version).as_deref(), works.then_some(hash), "{version:?}");
    }
    host_of(Some("5.4.33"));
    let told = host.run(&["user", "ann@example.com"]).stdout;
    assert!(
        told.contains("no: its password begins with a {SCHEME}, and vpopmail before 5.6 compares that too"),
        "{told}"
    );
    let found = host.run(&["check"]).stdout;
    let expected = "with a {SCHEME} before the hash, which vpopmail compares too: nobody logs in (";
    assert!(found.contains(expected) && found.contains("include/config.h says that vpopmail is 5.4.33"), "{found}");
    // The program that compares counts more than what was left beside it.
    host.write("/home/vpopmail/bin/vchkpw", "\x7fELF\0user name too long (max=64)\0");
    assert_eq!(host_of(Some("5.4.33")).as_deref(), Some(hash));
    host.write("/home/vpopmail/bin/vchkpw", "\x7fELF\0user name too long\0");
    assert_eq!(host_of(Some("5.6.13")), None);
}

#[test]
fn a_hash_that_no_password_has_is_not_published_and_told_with_its_place_and_cause() {
    const WHOLE: &str =
        "$6$zZUftIk3$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
    let text = |records: &[(&str, &str)]| -> String {
        records.iter().map(|(name, crypt)| format!("{name}:{crypt}:1:0:N:/d:NOQUOTA\n")).collect()
    };
    let short_md5 = filled("$1$a$b").trim_end_matches('.').to_owned() + "....";
    let records = [
        ("whole", WHOLE),
        // As vpopmaild of a vpopmail before 5.6.7 leaves it.
        ("dora", &WHOLE[..64]),
        ("longer", &format!("{WHOLE}x")),
        ("mime", &format!("{}=", &WHOLE[..97])),
        ("md5", &short_md5),
        ("sha256", &format!("$5$salt${}", &WHOLE[12..54])),
        ("schemed", &format!("{{SHA512-CRYPT}}{}", &WHOLE[..64])),
    ];
    let host = one_mailbox("ann:x:1:0:N:/d:Q");
    host.remove(&format!("{COM}/vpasswd.cdb")).write(&format!("{COM}/vpasswd"), text(&records));
    assert_eq!(keys(&host), ["whole@example.com", "whole@example.edu"]);
    let found = host.run(&["check"]).stdout;
    let why = "with a hash that no password has, so nobody logs in: ";
    for told in [
        format!("2 mailboxes {why}line 2: dora, line 7: schemed (sha512-crypt, but 64 bytes instead of 98)"),
        format!("1 mailbox {why}line 3: longer (sha512-crypt, but 99 bytes instead of 98)"),
        format!("1 mailbox {why}line 4: mime (sha512-crypt, but with a byte that no hash holds)"),
        format!("1 mailbox {why}line 5: md5 (md5-crypt, but 10 bytes instead of 27)"),
        format!("1 mailbox {why}line 6: sha256 (sha256-crypt, but 50 bytes instead of 51)"),
    ] {
        assert!(found.contains(&told), "{told}\n{found}");
    }
    assert_eq!(found.matches("vpopmaild of a vpopmail before 5.6.7 cuts hashes so").count(), 1, "{found}");
    let told = host.run(&["user", "dora@example.com"]).stdout;
    assert!(told.contains("password: sha512-crypt, but 64 bytes instead of 98: no password has it\n"), "{told}");
    assert!(
        told.contains("login: no: no password has its hash (sha512-crypt, but 64 bytes instead of 98)\n"),
        "{told}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&host.run(&["user", "--json", "dora@example.com"]).stdout).unwrap();
    assert_eq!(json[0]["password"], "sha512-crypt, but 64 bytes instead of 98: no password has it");
    assert_eq!(json[0]["logins"], serde_json::json!([]));
    // A vpasswd.cdb has no lines: the text beside it has, where it still says the same.
    let dora = format!("dora:{}:1:0:N:/d:Q", &WHOLE[..64]);
    host.mailboxes_as_written(COM, &[&dora, ":x:1:0:N:/d:Q"]);
    for (text, line, unnamed) in [
        (format!("ann:x:1:0:N:/d:Q\n:x:1:0:N:/d:Q\n{dora}\n"), "line 3 of vpasswd: ", "line 2 of vpasswd: "),
        (format!("dora:{WHOLE}:1:0:N:/d:Q\n{dora}\n"), "", ""),
        (String::new(), "", ""),
    ] {
        host.write(&format!("{COM}/vpasswd"), &text);
        assert!(keys(&host).is_empty());
        let found = host.run(&["check"]).stdout;
        let told = format!("{COM}/vpasswd.cdb: 1 mailbox {why}{line}dora (sha512-crypt, but 64 bytes instead of 98)");
        assert!(found.contains(&told), "{told}\n{found}");
        let told = format!("{COM}/vpasswd.cdb: {unnamed}a record without a name, which is no mailbox");
        assert!(found.contains(&told), "{told}\n{found}");
    }
    // Nor is one kept that an earlier version published.
    let image = qmail_updater::cdb::image([(&b"dora@example.com"[..], &WHOLE.as_bytes()[..64])]).unwrap();
    fs::write(host.published("auth.cdb"), image).unwrap();
    host.write(&format!("{COM}/vpasswd.cdb"), "cut");
    assert!(keys(&host).is_empty());
}

#[test]
fn a_person_is_told_when_a_login_expires() {
    let host = one_mailbox(&format!("ann:{}:1:0:N:/d:Q", filled("$6$s$hash")));
    let authvars = "/var/qmail/control/authvars";
    let expiry = |address: &str| -> Option<String> {
        let said = host.run(&["--color", "never", "user", address]).stdout;
        assert!(!said.contains("expires"), "a script gets what it got: {said}");
        let said = host.run(&["--color", "always", "user", address]).stdout;
        let line = said.lines().find_map(|line| line.trim().strip_prefix("login expires"))?;
        Some(line.trim().to_owned())
    };
    assert_eq!(expiry("ann@example.com"), None);
    for (pattern, time, wanted) in [
        ("ann@example.com", "1500000000", "2017-07-14 02:40:00 UTC"),
        ("@example.com", "4107542399", "2100-02-28 23:59:59 UTC"),
        ("*", "18446744073709551615", "after the year 9999"),
    ] {
        host.write(authvars, format!("{pattern} PASSWORD_EXPIRES=\"{time}\"\n"));
        assert_eq!(expiry("ann@example.com").as_deref(), Some(wanted));
        // An alias domain has lines of its own.
        assert_eq!(expiry("ann@example.edu").is_some(), pattern == "*");
    }
    // Of a line that cannot be used what is published counts.
    host.write(authvars, "ann@example.com PASSWORD_EXPIRES=\"4102444799\"\n");
    host.rebuild();
    host.write(authvars, "ann@example.com PASSWORD_EXPIRES=\"soon\"\n");
    assert_eq!(expiry("ann@example.com").as_deref(), Some("2099-12-31 23:59:59 UTC"));
}
