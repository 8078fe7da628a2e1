# The submission service of Dovecot 2.4, from Debian 13, with the C library of that, on the mail host itself.
prepare() {
    user dovecot 7840
    user dovenull 7841
    user vmail 7842
    echo mail:x:8: >>"$root/etc/group"
    mkdir -p "$root/etc/dovecot/conf.d" "$root/usr/local/sbin"
    # What the logins are made of.
    host=${control%/var/qmail/control}
    cp -a "$host/var/qmail/." "$root/var/qmail/"
    mkdir -p "$root/home"
    cp -a "$host/home/vpopmail" "$root/home/"
    cat "$host/etc/passwd" >>"$root/etc/passwd"
    # How it asks is of the page; what else it does is of the test.
    cat >"$root/etc/dovecot/dovecot.conf" <<END
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
protocols {
  submission = yes
}
listen = 127.0.0.1
base_dir = /run/dovecot
ssl = no
auth_allow_cleartext = yes
auth_allow_weak_schemes = yes
auth_mechanisms = plain login
hostname = hub.example
submission_relay_host = 127.0.0.1
submission_relay_port = 26
mail_driver = maildir
mail_path = /tmp/mail
mail_uid = vmail
mail_gid = vmail
first_valid_uid = 1
log_path = /tmp/log
auth_failure_delay = 0
userdb static {
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service submission-login {
  inet_listener submission {
    port = 25
  }
}
!include conf.d/30-qmail-updater.conf
END
}

start() {
    (perl /tmp/ask.pl --relay) &
    await 26
    # It writes hashes, as it should.
    dovecot-logins
    (traced dovecot -F) &
    await 25
}
