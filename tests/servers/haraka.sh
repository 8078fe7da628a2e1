# Haraka with its plugins, which npm brought.
prepare() {
    mkdir -p "$root/etc/haraka/config"
    ln -s /usr/lib/haraka/node_modules "$root/etc/haraka/node_modules"
    # What `haraka -i` puts there.
    cp "$unpacked/usr/lib/haraka/node_modules/Haraka/config/connection.ini" "$root/etc/haraka/config/"
    echo hub.example >"$root/etc/haraka/config/me"
    printf 'listen=127.0.0.1:25\nnodes=0\n' >"$root/etc/haraka/config/smtp.ini"
    printf '[main]\nlevel=info\n' >"$root/etc/haraka/config/log.ini"
}

start() {
    certificate /etc/haraka/config/tls_cert.pem /etc/haraka/config/tls_key.pem
    tls=tls
    (traced /service/deliverabled/run) &
    (traced /service/qmail-logins/run) &
    await 8998 8989
    (exec node /usr/lib/haraka/node_modules/Haraka/bin/haraka -c /etc/haraka) &
    await 25
}
