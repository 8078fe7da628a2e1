# Runs a real mail server on a host that has the published tables and nothing else of qmail, as docs/guide/front-ends.md says:
#   sh run.sh SERVER DIRECTORY UNPACKED PROGRAM CONTROL
# in new namespaces (mounts, network, processes), so that it is gone with this script, and its ports are its own.
#   UNPACKED   where tests/run unpacked the server
#   CONTROL    the directory of the tables
#   DIRECTORY  DIRECTORY/page has the files that the page shows, DIRECTORY/trace gets what strace saw of the front ends,
#              DIRECTORY/log what the server said, DIRECTORY/root this machine with a layer over it
# Each line of standard input is a session for ask.pl, whose answers are printed.
# tests/servers/SERVER.sh has two functions: `prepare`, outside of the root, and `start`, inside, which sets `port`.
set -eu
server=$1 directory=$2 unpacked=$3 program=$4 control=$5
here=$(cd "$(dirname "$0")" && pwd)
root=$directory/root
mount -t tmpfs tmpfs "$root"
mkdir "$root/upper" "$root/work" "$root/merged"
cp -a "$unpacked/." "$root/upper/"
mkdir "$root/before"
cp "$control/validrcptto.cdb" "$control/auth.cdb" "$control/rcpthosts" "$program" "$root/before/"
before=$root/before
mount -t overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" overlay "$root/merged"
root=$root/merged
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
for empty in tmp run var/qmail; do
    mkdir -p "$root/$empty"
    mount -t tmpfs -o mode=755 tmpfs "$root/$empty"
done
chmod 1777 "$root/tmp"
mkdir -p "$root/var/qmail/control" "$root/usr/lib/qmail-updater"
install -m 644 "$before/validrcptto.cdb" "$before/rcpthosts" "$root/var/qmail/control/"
install -m 640 -g 2108 "$before/auth.cdb" "$root/var/qmail/control/"
install -m 755 "$before/qmail-updater" "$root/usr/bin/"
ln -sf ../../bin/qmail-updater "$root/usr/lib/qmail-updater/checkpassword"
cat >"$root/etc/passwd" <<END
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
qmail-logins:x:7790:2108::/nonexistent:/usr/sbin/nologin
END
printf '%s\n' root:x:0: nogroup:x:65534: nofiles:x:2108: >"$root/etc/group"
printf '%s\n' 'passwd: files' 'group: files' 'hosts: files' >"$root/etc/nsswitch.conf"
printf '127.0.0.1 localhost hub.example\n' >"$root/etc/hosts"
echo nameserver 127.0.0.1 >"$root/etc/resolv.conf"
mkdir "$root/tmp/trace"
chmod 1777 "$root/tmp/trace"
cp "$here"/*.sh "$here"/*.p[lm] "$root/tmp/"
[ ! -d "$here/$server" ] || cp -R "$here/$server" "$root/tmp/$server"

# Adds an account: user NAME NUMBER [GROUPS]
user() {
    echo "$1:x:$2:$2::/nonexistent:/usr/sbin/nologin" >>"$root/etc/passwd"
    echo "$1:x:$2:" >>"$root/etc/group"
    for group in ${3:-}; do
        sed -i "/^$group:/{ s/[^:]\$/&,/; s/\$/$1/; }" "$root/etc/group"
    done
}

. "$here/$server.sh"
prepare
# The page's files last: they are what counts.
cp -R "$directory/page/." "$root/"
busybox ip link set lo up 2>/dev/null || ip link set lo up
cat >"$root/tmp/inside" <<'END'
cd /tmp
# A line of what strace saw names no file of a server that has no rights there, so each process writes its own.
traced() {
    if [ -x "$(command -v strace)" ]; then
        set -- strace -D -qq -ff --seccomp-bpf -s 100000 -o /tmp/trace/t -e trace=execve,write,writev,sendto,sendmsg,pwrite64,sendfile "$@"
    fi
    exec "$@"
}
# Waits until something listens at each of these ports or sockets.
await() {
    for place in "$@"; do
        perl /tmp/ask.pl --await "$place"
    done
}
# Makes a certificate: certificate FILE KEY
certificate() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=hub.example -out "$1" -keyout "$2" 2>/dev/null
    chmod 600 "$2"
}
. "/tmp/$1.sh"
perl /tmp/ask.pl --names &
start </dev/null >/tmp/log 2>&1
exec perl /tmp/ask.pl "${port:-25}" /var/qmail/control ${tls:-}
END
status=0
chroot "$root" sh -eu /tmp/inside "$server" || status=$?
cp "$root/tmp/log" "$directory/log"
[ "$status" -ne 0 ] || for file in "$root"/tmp/trace/*; do
    # From where it becomes a front end.
    sed -n '/^execve("[^"]*\/\(qmail-updater\|checkpassword\)"/,$p' "$file" >"$directory/trace/${file##*/}"
    [ -s "$directory/trace/${file##*/}" ] || rm "$directory/trace/${file##*/}"
done
exit "$status"
