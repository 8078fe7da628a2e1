# The submission service of Dovecot 2.3, from Debian 12.
prepare() {
    user dovecot 7840
    user dovenull 7841
    user vmail 7842
    echo mail:x:8: >>"$root/etc/group"
    mkdir -p "$root/etc/dovecot/conf.d"
    # How it asks is of the page; what else it does is of the test.
    cat >"$root/etc/dovecot/dovecot.conf" <<END
protocols = submission
listen = 127.0.0.1
base_dir = /run/dovecot
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
hostname = hub.example
submission_relay_host = 127.0.0.1
submission_relay_port = 26
mail_location = maildir:/tmp/mail
mail_uid = vmail
mail_gid = vmail
first_valid_uid = 1
log_path = /tmp/log
auth_cache_size = 0
auth_failure_delay = 0
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
!include conf.d/20-qmail-updater.conf
END
}

start() {
    (perl /tmp/ask.pl --relay) &
    await 26
    (traced dovecot -F) &
    await 25
}
