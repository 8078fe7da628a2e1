# OpenSMTPD 7.6 of Debian 13, with the C library of that.
prepare() {
    user opensmtpd 7830 nofiles
    user opensmtpq 7831
    mkdir -p "$root/etc/ssl/certs" "$root/etc/ssl/private" "$root/usr/libexec/opensmtpd" "$root/var/lib/opensmtpd/empty" \
        "$root/var/spool/smtpd"
    chmod 711 "$root/var/spool/smtpd"
}

start() {
    certificate /etc/ssl/certs/mail.pem /etc/ssl/private/mail.key
    tls=tls
    (traced smtpd -d -P mda) &
    await 25
}
