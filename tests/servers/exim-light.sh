# The same with what the page says for exim4-daemon-light.
exim_light=-light exim_groups=nofiles
[ ! -e /tmp/exim.sh ] || here=/tmp
. "$here/exim.sh"
