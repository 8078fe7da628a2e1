# The same with the plugin that asks vpopmaild.
qpsmtpd_groups='' qpsmtpd_plugins=plugins-vpopmaild
[ ! -e /tmp/qpsmtpd.sh ] || here=/tmp
. "$here/qpsmtpd.sh"
