#!/bin/sh
# Installs a built clone on this host, or with DESTDIR into a tree from which a package is made.
#   npm ci --ignore-scripts && npm run build && sudo sh packaging/install.sh
#   DESTDIR=/tmp/tree sh packaging/install.sh
# Touches no running service, loads no SELinux module and overwrites nothing in /etc/virtslad: it ends by saying what to
# do next. With the development files of the SELinux policy (Debian: selinux-policy-dev) it compiles virtslad's module too;
# SELINUX_MODULE=FILE takes one that was compiled elsewhere, SELINUX_MODULE=none installs none.
set -eu
cd "$(dirname "$0")/.."
DESTDIR=${DESTDIR:-}
SELINUX_MODULE=${SELINUX_MODULE:-}
lib=$DESTDIR/usr/lib/virtslad
etc=$DESTDIR/etc/virtslad
devel=/usr/share/selinux/devel/Makefile
work=
trap 'rm -rf "$work" "$lib.new"' EXIT
trap 'exit 1' HUP INT TERM

fail() {
  echo "install.sh: $*" >&2
  exit 1
}

[ -f dist/main.js ] || fail 'there is no dist/main.js: npm run build'
command -v node >/dev/null || fail 'there is no node in PATH'

# Packages that only development needs stay behind; optional ones of other processors are not there at all.
packages=$(node -e '
  const { packages } = JSON.parse(require("node:fs").readFileSync("package-lock.json", "utf8"));
  const wanted = Object.entries(packages).filter(([path, { dev }]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) && !dev);
  for (const [path, { optional }] of wanted) console.log(optional ? "optional" : "needed", path);
')

umask 022
rm -rf "$lib.new"
mkdir -p "$lib.new/node_modules"
cp -R dist package.json policies schema docs dashboards packaging LICENSE "$lib.new/"
echo "$packages" | while read -r kind path; do
  if [ -d "$path" ]; then
    mkdir -p "$lib.new/$(dirname "$path")"
    cp -R "$path" "$lib.new/$path"
  elif [ "$kind" = needed ]; then
    fail "there is no $path: npm ci --ignore-scripts"
  fi
done
chmod -R u=rwX,go=rX "$lib.new"
[ "$(id -u)" -ne 0 ] || chown -R root:root "$lib.new"
chmod 755 "$lib.new/dist/main.js" "$lib.new/dist/launch.js"
# The old one goes last, and only when the new one is complete.
rm -rf "$lib"
mv "$lib.new" "$lib"

install -d "$DESTDIR/usr/bin" "$DESTDIR/usr/lib/systemd/system" "$etc/policies.d"
ln -sf ../lib/virtslad/dist/main.js "$DESTDIR/usr/bin/virtslad"
ln -sf ../lib/virtslad/dist/launch.js "$DESTDIR/usr/bin/virtslad-launch"
install -m 0644 packaging/virtslad.service "$DESTDIR/usr/lib/systemd/system/virtslad.service"
# No policies: the shipped ones put every guest of a host into a class. They are in /usr/lib/virtslad/policies.
[ -e "$etc/virtslad.yaml" ] || install -m 0644 packaging/virtslad.yaml "$etc/virtslad.yaml"

modules=/usr/share/selinux/packages/virtslad
rm -rf "$DESTDIR$modules"
if [ -z "$SELINUX_MODULE" ] && [ -f packaging/selinux/virtslad.te ] && [ -f "$devel" ]; then
  work=$(mktemp -d)
  cp packaging/selinux/virtslad.* "$work/"
  make -s -C "$work" -f "$devel" virtslad.pp >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    fail 'the SELinux module does not compile; SELINUX_MODULE=none installs without it'
  }
  SELINUX_MODULE=$work/virtslad.pp
fi
if [ -n "$SELINUX_MODULE" ] && [ "$SELINUX_MODULE" != none ]; then
  install -D -m 0644 "$SELINUX_MODULE" "$DESTDIR$modules/virtslad.pp"
  for file in packaging/selinux/*.cil; do [ ! -e "$file" ] || install -m 0644 "$file" "$DESTDIR$modules/"; done
fi

[ -z "$DESTDIR" ] || exit 0
echo 'Installed. Next:'
if [ -d "$modules" ]; then
  echo "  semodule$(find "$modules" -type f -exec printf ' -i %s' {} +)"
  echo '  restorecon -RF /usr/lib/virtslad /usr/lib/systemd/system/virtslad.service /etc/virtslad /var/lib/virtslad /run/virtslad'
fi
echo '  cp POLICIES /etc/virtslad/policies.d/ && virtslad check && virtslad plan'
echo '  systemctl daemon-reload && systemctl enable --now virtslad'
