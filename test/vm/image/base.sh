#!/bin/sh
# Makes the base layer of the VM lane: Debian 12 with systemd, SELinux, libvirt and QEMU, labelled, without virtslad.
#   base.sh DIRECTORY [MIRROR]   writes base.img (ext4, no partitions), vmlinuz and initrd there
# Runs as root in a mount namespace of its own (`unshare --mount`): what it mounts is gone with it. Everything that takes
# CPU is done here, natively; in the guest it would run under emulation. A change to this file makes a new base.
set -eu
out=$(cd "$1" && pwd)
mirror=${2:-}
root=$out/root
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

# What it is about: an init, two layers of virtualisation, SELinux with what builds a policy module, audit.
packages=systemd-sysv,systemd-container,udev,dbus,kmod,initramfs-tools,linux-image-amd64,zstd
packages=$packages,libvirt-daemon-system,libvirt-clients,libvirt-daemon-driver-qemu,qemu-system-x86,qemu-utils
packages=$packages,selinux-policy-default,selinux-policy-dev,selinux-utils,policycoreutils,policycoreutils-python-utils
packages=$packages,checkpolicy,make,m4,auditd
# What tests and people at the shell use.
packages=$packages,openssh-server,attr,procps,psmisc,iproute2,util-linux,e2fsprogs,btrfs-progs,lvm2,dmsetup
packages=$packages,inotify-tools,strace,curl,less,dnsmasq-base,iptables

truncate -s 6G "$out/base.img"
mkfs.ext4 -q -F -L virtslad-vm -m 0 -E lazy_itable_init=1,lazy_journal_init=1,nodiscard "$out/base.img"
mkdir "$root"
mount -o loop,noatime "$out/base.img" "$root"

# Nothing is synced: the image is thrown away when anything fails.
mmdebstrap --quiet --variant=minbase --mode=root --format=directory \
  --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
  --dpkgopt='force-unsafe-io' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --include="$packages" bookworm "$root" ${mirror:+"$mirror"}

# --- the machine ---
echo virtslad-vm >"$root/etc/hostname"
echo '127.0.0.1 localhost virtslad-vm' >"$root/etc/hosts"
echo '/dev/vda / ext4 noatime 0 1' >"$root/etc/fstab"
cat >"$root/etc/systemd/network/10-lane.network" <<'END'
[Match]
Name=eth0
[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
END
cat >"$root/etc/ssh/sshd_config.d/lane.conf" <<'END'
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
MaxSessions 100
END
mkdir -p "$root/etc/systemd/system.conf.d" "$root/etc/systemd/journald.conf.d"
# Emulated, everything takes ten times as long.
printf '[Manager]\nDefaultTimeoutStartSec=300s\nDefaultDeviceTimeoutSec=300s\n' >"$root/etc/systemd/system.conf.d/lane.conf"
printf '[Journal]\nStorage=persistent\nRateLimitBurst=0\n' >"$root/etc/systemd/journald.conf.d/lane.conf"
# A root shell on the serial console, for when ssh does not answer.
mkdir -p "$root/etc/systemd/system/serial-getty@ttyS0.service.d"
printf '[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root --noclear 115200 %%I linux\n' \
  >"$root/etc/systemd/system/serial-getty@ttyS0.service.d/lane.conf"
chroot "$root" systemctl -q enable systemd-networkd ssh libvirtd auditd
# What would run by itself and take the emulated CPU.
for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer man-db.timer fstrim.timer dpkg-db-backup.timer \
  systemd-tmpfiles-clean.timer systemd-networkd-wait-online.service libvirt-guests.service e2scrub_reap.service \
  libvirtd-tls.socket libvirtd-tcp.socket blk-availability.service lvm2-monitor.service getty@tty1.service; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# No mount namespaces for guests: Debian's policy has no rules for what libvirt does there.
printf '\nnamespaces = []\nsecurity_driver = "selinux"\n' >>"$root/etc/libvirt/qemu.conf"
rm -f "$root/etc/libvirt/qemu/networks/autostart/default.xml"

# All of it in one file that does not rotate; with one rule there at all, denials come with the paths that they are about.
sed -i 's/^max_log_file_action.*/max_log_file_action = IGNORE/' "$root/etc/audit/auditd.conf"
echo '-w /etc/shadow -p wa -k lane' >>"$root/etc/audit/rules.d/audit.rules"

# A small initrd: to unpack all the modules takes several seconds of emulation.
printf 'MODULES=list\n' >"$root/etc/initramfs-tools/conf.d/lane"
printf 'virtio_pci\nvirtio_blk\next4\n' >>"$root/etc/initramfs-tools/modules"

# --- SELinux ---
mount -t proc proc "$root/proc"
chroot "$root" update-initramfs -u
sed -i 's/^SELINUX=.*/SELINUX=enforcing/' "$root/etc/selinux/config"
chroot "$root" setfiles -F /etc/selinux/default/contexts/files/file_contexts /

cp -L "$root"/boot/vmlinuz-* "$out/vmlinuz"
cp -L "$root"/boot/initrd.img-* "$out/initrd"
umount "$root/proc"
umount "$root"
rmdir "$root"
