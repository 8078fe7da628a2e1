# Runs a real Postfix on a mail host that has nothing but the published tables, with the configuration of docs/guide/front-ends.md:
#   sh postfix.sh FOLDER UNPACKED PROGRAM CONTROL REPOSITORY
# in new namespaces (mounts, network, processes). FOLDER gets this machine with a layer over it, UNPACKED is where the package of
# Postfix lies, CONTROL the directory of the tables. Each line of standard input is `PORTION`, a tab, and the commands of one SMTP session,
# separated by tabs; the answers are printed a line each. The portion `without` comes last: then there are no tables.
set -eu
folder=$1 unpacked=$2 program=$3 control=$4 repository=$5
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root" "$folder/control"
cp -a "$unpacked/." "$folder/upper/"
cp "$control"/*.cdb "$folder/control/"
cp "$program" "$folder/qmail-updater"
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" overlay "$folder/root"
root=$folder/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
for empty in tmp run var/qmail; do
    mkdir -p "$root/$empty"
    mount -t tmpfs -o mode=755 tmpfs "$root/$empty"
done
chmod 1777 "$root/tmp"
mkdir "$root/var/qmail/control"
install -m 644 "$folder/control/validrcptto.cdb" "$root/var/qmail/control/"
install -m 640 -g 2108 "$folder/control/auth.cdb" "$root/var/qmail/control/"
install -m 755 "$folder/qmail-updater" "$root/usr/bin/"
cp "$repository/tests/servers/ask.pl" "$root/tmp/"
cat >"$root/etc/passwd" <<END
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
postfix:x:7800:7800::/var/spool/postfix:/usr/sbin/nologin
END
printf '%s\n' root:x:0: nogroup:x:65534: nofiles:x:2108: postfix:x:7800: postdrop:x:7801: >"$root/etc/group"
printf '%s\n' 'passwd: files' 'group: files' 'hosts: files' >"$root/etc/nsswitch.conf"

# Of the page only: how it asks. Of the test: where it listens, and what it does not do.
part() {
    sed -n "/^## Postfix/,/^## /{ /^# $1/,/^\(# \|\`\`\`\)/p; }" "$repository/docs/guide/front-ends.md" | sed '/^# /d; /^```/d'
}
mkdir -p "$root/etc/postfix"
# Nothing is chrooted, and the port is one that anybody may take.
sed 's/^smtp      inet/12525     inet/; s/^\([a-z0-9]\S*\s\+\S\+\s\+\S\+\s\+\S\+\s\+\)y/\1n/' \
    "$unpacked/usr/share/postfix/master.cf.dist" >"$root/etc/postfix/master.cf"
printf 'postlog unix-dgram n - n - 1 postlogd\n' >>"$root/etc/postfix/master.cf"
part master.cf >>"$root/etc/postfix/master.cf"
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
relay_transport = discard:
biff = no
END
part main.cf >>"$root/etc/postfix/main.cf"
busybox ip link set lo up 2>/dev/null || ip link set lo up
chroot "$root" sh -c 'postfix set-permissions >/dev/null 2>&1; postfix start-fg >/tmp/log 2>&1 & cd /tmp; exec perl /tmp/ask.pl 12525 /var/qmail/control' || {
    cat "$root/tmp/log" >&2
    exit 1
}
