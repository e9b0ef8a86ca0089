#!/bin/sh
# Makes the image of one run of the VM lane from the cached layers: the host's Node, virtslad installed as its package would
# install it, its unit enabled, the compiled tests, a key to get in.
#   run.sh BASE_IMAGE POLICY_TAR REPOSITORY NODE PUBLIC_KEY IMAGE
# Runs as root in a mount namespace of its own.
set -eu
base=$1 policy=$2 repository=$3 node=$4 key=$5 image=$6
root=$image.root
tests=$root/opt/virtslad-tests
export LC_ALL=C.UTF-8

cp --sparse=always "$base" "$image"
mkdir -p "$root"
mount -o loop,noatime "$image" "$root"
mount -t proc proc "$root/proc"

cp -L "$node" "$root/usr/bin/node"
chroot "$root" node --version >/dev/null
DESTDIR=$root SELINUX_MODULE=none sh "$repository/packaging/install.sh"
tar -C "$root" --no-same-owner -xzf "$policy"
chroot "$root" systemctl --quiet enable virtslad.service
# The serial console is the kernel's record; nobody can type there.
ln -sf /dev/null "$root/etc/systemd/system/serial-getty@ttyS0.service"

sh "$repository/test/vm/image/tests.sh" "$repository" "$tests"
install -D -m 0600 "$key" "$root/root/.ssh/authorized_keys"

chroot "$root" setfiles -F /etc/selinux/default/contexts/files/file_contexts \
  /etc /root /opt /var/lib/selinux /usr/share/selinux /usr/lib/virtslad /usr/lib/systemd/system /usr/bin
umount "$root/proc" "$root"
rmdir "$root"
