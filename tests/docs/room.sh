# Makes a root of its own: this machine with a layer over it that is gone afterwards, and a small qmail and vpopmail host.
# Run in new namespaces (mounts, network, processes) as
#   sh room.sh FOLDER REPOSITORY NAME
# FOLDER/NAME/root becomes the root, with the repository in /src there.
set -e
folder=$1 repository=$2 name=$3
here=$repository/tests/docs
mkdir "$folder/$name"
mount -t tmpfs tmpfs "$folder/$name"
root=$folder/$name/root
mkdir "$folder/$name/upper" "$folder/$name/work" "$root"
# Programs that this machine lacks, where tests/run unpacked them.
unpacked=$repository/target/tools/tests/root
[ ! -d "$unpacked" ] || cp -a "$unpacked/." "$folder/$name/upper/"
mount -t overlay -o "lowerdir=/,upperdir=$folder/$name/upper,workdir=$folder/$name/work" overlay "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
# The mail host of the machine, if it is one, stays outside.
for empty in tmp run root home var/qmail service etc/service; do
    [ ! -L "$root/$empty" ] || rm "$root/$empty"
    mkdir -p "$root/$empty"
    mount -t tmpfs -o mode=755 tmpfs "$root/$empty"
done
chmod 1777 "$root/tmp"
mkdir -p "$root/src" "$root/run/sshd"
cp -R "$repository/README.md" "$repository/docs" "$repository/service" "$repository/examples" "$repository/tests" "$root/src/"
[ -z "${QMAIL_UPDATER_PACKAGE:-}" ] || cp "$QMAIL_UPDATER_PACKAGE" "$root/src/"

# The accounts of a mail host, and nobody else's.
cat >"$root/etc/passwd" <<END
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
sshd:x:7789:65534::/run/sshd:/usr/sbin/nologin
alias:x:7790:2108::/var/qmail/alias:/bin/true
qmaild:x:7791:2108::/var/qmail:/bin/true
qmaill:x:7792:2108::/var/qmail:/bin/true
vpopmail:x:89:89::/home/vpopmail:/bin/sh
carol:x:1001:1001:Carol:/home/carol:/bin/sh
END
printf '%s\n' root:x:0: nogroup:x:65534: nofiles:x:2108: vchkpw:x:89: carol:x:1001: >"$root/etc/group"
sed 's/:.*/:!:20000:0:99999:7:::/' "$root/etc/passwd" >"$root/etc/shadow"
sed 's/:.*/:!::/' "$root/etc/group" >"$root/etc/gshadow"
# Who owned what on this machine is gone.
: >"$root/var/lib/dpkg/statoverride"
printf '%s\n' 'passwd: files' 'group: files' 'shadow: files' 'hosts: files' >"$root/etc/nsswitch.conf"
printf '%s\n' '127.0.0.1 localhost' '127.0.0.1 mail.example.org hub1.example.com' >"$root/etc/hosts"

# The sample host, owned as vpopmail's programs leave it.
rm -rf "$root/etc/qmail-updater"
(cd "$repository/examples/host" && tar -cf - --exclude=./etc --mode=u=rwX,go=rX --owner=0 --group=0 .) | tar -xf - -C "$root"
chroot "$root" sh -e <<END
chown -R alias:nofiles /var/qmail/alias
chown -R carol:carol /home/carol
mkdir -p /var/qmail/bin /home/vpopmail/bin
for program in qmail-newu qmail-newmrh qmail-smtpd; do install -m 755 /src/tests/docs/\$program /var/qmail/bin/; done
for program in vadduser vdelivermail; do install -m 755 /src/tests/docs/\$program /home/vpopmail/bin/; done
cd /home/vpopmail/domains
for domain in *; do /home/vpopmail/bin/vadduser --compile \$domain; done
chown -R vpopmail:vchkpw /home/vpopmail
chmod 700 /home/vpopmail/domains /home/vpopmail/domains/*
chmod 600 /home/vpopmail/domains/*/vpasswd*
/var/qmail/bin/qmail-newu
END
# The script of its package makes it.
[ -e "$root/etc/ssh/sshd_config" ] || cp "$root/usr/share/openssh/sshd_config" "$root/etc/ssh/"
# What cannot run here as it is.
for program in systemctl tail cargo; do
    install -m 755 "$here/$program" "$root/usr/local/sbin/"
done
busybox ip link set lo up
