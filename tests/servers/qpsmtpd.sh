# qpsmtpd of Debian 12, with a stand-in for the module of CPAN that its plugin needs.
prepare() {
    user qpsmtpd 7820 "${qpsmtpd_groups-nofiles}"
    mkdir -p "$root/var/spool/qpsmtpd" "$root/usr/share/perl5/Qmail/Deliverable"
    chown 7820:7820 "$root/var/spool/qpsmtpd"
    chmod 700 "$root/var/spool/qpsmtpd"
    cp "$here/Client.pm" "$root/usr/share/perl5/Qmail/Deliverable/"
    cp "$root/var/qmail/control/rcpthosts" "$root/etc/qpsmtpd/rcpthosts"
    echo hub.example >"$root/etc/qpsmtpd/me"
    echo "logging/warn LOGINFO" >"$root/etc/qpsmtpd/logging"
    # Without sudo the plugin runs the program itself.
    rm -f "$root/usr/bin/sudo" "$root/usr/local/bin/sudo"
}

start() {
    [ -z "${qpsmtpd_plugins:-}" ] || cp "/etc/qpsmtpd/$qpsmtpd_plugins" /etc/qpsmtpd/plugins
    (traced /service/deliverabled/run) &
    (traced /service/qmail-logins/run) &
    await 8998 8989
    export QPSMTPD_CONFIG=/etc/qpsmtpd
    (traced qpsmtpd-forkserver --port 25 --listen-address 127.0.0.1 --user qpsmtpd --no-rdns --limit-connections 100 --max-from-ip 100) &
    await 25
}
