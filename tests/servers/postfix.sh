# Postfix of Debian 12.
prepare() {
    user postfix 7800
    echo postdrop:x:7801: >>"$root/etc/group"
    mkdir -p "$root/etc/postfix" "$root/var/spool/postfix" "$root/etc/ssl/certs" "$root/etc/ssl/private"
    # Nothing is chrooted, because a chroot needs copies of files of /etc.
    sed 's/^\([a-z0-9]\S*\s\+\S\+\s\+\S\+\s\+\S\+\s\+\)y/\1n/' "$unpacked/usr/share/postfix/master.cf.dist" \
        >"$root/etc/postfix/master.cf"
    echo 'postlog unix-dgram n - n - 1 postlogd' >>"$root/etc/postfix/master.cf"
    # How it asks is of the page; what else it does is of the test.
    cat >"$root/etc/postfix/main.cf" <<END
compatibility_level = 3.6
myhostname = hub.example
mydestination =
mynetworks =
inet_interfaces = loopback-only
inet_protocols = ipv4
smtpd_recipient_restrictions = reject_unauth_destination
maillog_file = /dev/stdout
maillog_file_prefixes = /dev
smtpd_peername_lookup = no
smtpd_soft_error_limit = 10000
smtpd_hard_error_limit = 10000
smtpd_recipient_limit = 10000
smtpd_client_connection_count_limit = 0
biff = no
END
    for file in main.cf master.cf; do
        cat "$directory/page/etc/postfix/$file" >>"$root/etc/postfix/$file"
        rm "$directory/page/etc/postfix/$file"
    done
}

start() {
    certificate /etc/ssl/certs/mail.pem /etc/ssl/private/mail.key
    tls=tls
    postfix set-permissions || true
    (traced postfix start-fg) &
    await 25
}
