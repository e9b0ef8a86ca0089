#!/bin/sh
# Makes the policy layer of the VM lane: Debian's SELinux policy with what the lane adds to it and with virtslad's own module.
#   policy.sh BASE_IMAGE SOURCES LANE_CIL OUTPUT   SOURCES: packaging/selinux, or a directory that is not there
# Writes a compressed tar file that is unpacked over the base. Runs as root in a mount namespace of its own. The module is compiled and
# linked here with the base's own tools, which takes some seconds; in the guest it takes minutes.
set -eu
base=$1 sources=$2 cil=$3 output=$4
work=$output.work
root=$work/root
export LC_ALL=C.UTF-8

rm -rf "$work"
mkdir -p "$root"
cp --sparse=always "$base" "$work/image"
mount -o loop,noatime "$work/image" "$root"
mount -t proc proc "$root/proc"

# TCG writes the code that it runs. setsebool asks for a running SELinux; this is the file in which it keeps them.
printf 'virt_use_execmem=1\nallow_execmem=1\n' >"$root/var/lib/selinux/default/active/booleans.local"
mkdir "$root/lane"
cp "$cil" "$root/lane/"
packages=$root/usr/share/selinux/packages/virtslad
mkdir -p "$packages"
if [ -f "$sources/virtslad.te" ]; then
  cp "$sources"/virtslad.* "$root/lane/"
  chroot "$root" make -s -C /lane -f /usr/share/selinux/devel/Makefile virtslad.pp
  cp "$root/lane/virtslad.pp" "$packages/"
  for file in "$sources"/*.cil; do [ ! -e "$file" ] || cp "$file" "$packages/"; done
fi
chroot "$root" sh -c 'exec semodule -n $(printf " -i %s" /lane/*.cil $(find /usr/share/selinux/packages/virtslad -type f))'
rm -r "$root/lane"

# Debian's own modules are in the base.
tar -C "$root" --exclude=var/lib/selinux/default/active/modules/100 -czf "$work/tar" \
  etc/selinux/default var/lib/selinux/default usr/share/selinux/packages/virtslad
mv "$work/tar" "$output"
umount "$root/proc" "$root"
rm -r "$work"
