# exim4-daemon-heavy of Debian 12.
prepare() {
    user Debian-exim 7810 "${exim_groups:-}"
    mkdir -p "$root/var/spool/exim4" "$root/var/log/exim4"
    chown 7810:7810 "$root/var/spool/exim4" "$root/var/log/exim4"
    # How it asks is of the page; what else it does is of the test.
    cat >"$root/etc/exim4/exim4.conf" <<END
.include /etc/exim4/conf.d/main/01_qmail-updater
primary_hostname = hub.example
domainlist relay_to_domains = lsearch;/var/qmail/control/rcpthosts
acl_smtp_rcpt = acl_check_rcpt
host_lookup =
tls_advertise_hosts = *
tls_certificate = /etc/exim4/exim.crt
tls_privatekey = /etc/exim4/exim.key
rfc1413_query_timeout = 0s
smtp_accept_max = 0
smtp_max_unknown_commands = 1000
recipients_max = 10000
log_file_path = /tmp/exim.%s
auth_advertise_hosts = *
queue_only
begin acl
acl_check_rcpt:
.include /etc/exim4/check_rcpt_local_acl
accept domains = +relay_to_domains
deny
begin routers
hold:
  driver = redirect
  data = :defer:
begin authenticators
.include /etc/exim4/conf.d/auth/31_qmail-updater${exim_light:-}
END
    chown 0:7810 "$root/etc/exim4/exim4.conf"
}

unit() {
    sed -n "s/^$2=//p" "/etc/systemd/system/qmail-updater-logins$1"
}

start() {
    certificate /etc/exim4/exim.crt /etc/exim4/exim.key
    chown Debian-exim /etc/exim4/exim.crt /etc/exim4/exim.key
    tls=tls
    if [ -z "${exim_light:-}" ]; then
        socket=$(unit .socket ListenStream)
        # As systemd starts a socket unit with Accept=yes. The socket itself is of root there.
        # shellcheck disable=SC2046
        (traced systemd-socket-activate --accept --inetd --listen "$socket" setpriv --reuid "$(unit @.service User)" --regid "$(unit @.service Group)" \
            --clear-groups $(unit @.service ExecStart)) &
        await "$socket"
        chown "$(unit .socket SocketUser)" "$socket"
        chmod "$(unit .socket SocketMode)" "$socket"
    fi
    (traced exim4 -bdf -q1h) &
    await 25
}
