/**
 * Takes the directory of a cgroup, gives the name of the system unit whose own cgroup it is. Source: systemd's
 * src/basic/cgroup-util.c (cg_escape, cg_path_get_unit).
 */

const UNIT = /.\.(?:scope|slice|service)$/;

/**
 * `…/machine.slice/machine-qemu\x2d1\x2dgold.scope` → `machine-qemu\x2d1\x2dgold.scope`; null when the directory is no
 * unit's own, as `…/machine-….scope/libvirt`, or that of another systemd, as a user's in `user@1000.service`.
 * Asked for such a slice, the system's systemd would make one of the same name.
 */
export function unitOfGroup(cgroupDirectoryPath: string): string | null {
  const names = cgroupDirectoryPath
    .split('/')
    .filter((name) => name !== '')
    .map(unescapeName);
  const unit = names.pop();
  if (unit === undefined || !UNIT.test(unit)) return null;
  // Units lie in slices alone; what comes before the first slice is where the hierarchy is mounted.
  const firstSlice = names.findIndex((name) => name.endsWith('.slice'));
  const mount = firstSlice < 0 ? names : names.slice(0, firstSlice);
  const slices = firstSlice < 0 ? [] : names.slice(firstSlice);
  if (mount.some((name) => UNIT.test(name)) || !slices.every((name) => name.endsWith('.slice'))) return null;
  return unit;
}

/** cg_unescape: a name that the kernel could take for a file of its own (`memory.slice`) wears a leading underscore. */
function unescapeName(name: string): string {
  return name.startsWith('_') ? name.slice(1) : name;
}
