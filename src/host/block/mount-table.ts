/**
 * The mounts of a mount namespace from the text of /proc/PID/mountinfo, and which one a path is on. A mount can hide
 * others below it, so the way goes from the root from mount to mount, never by the longest prefix alone. Pure.
 * Source: proc_pid_mountinfo(5), Documentation/filesystems/proc.rst 3.5.
 */

export interface Mount {
  readonly id: number;
  readonly parentId: number;
  /** st_dev of its files, `254:0`; major 0 when anonymous. */
  readonly device: string;
  readonly mountPoint: string;
  /** `ext4`, `nfs4`, `fuse.sshfs`. */
  readonly type: string;
  /** `/dev/vda2`, `server:/export`; whatever the file system or who mounted it says. */
  readonly source: string;
}

export class MountTable {
  readonly #byId = new Map<number, Mount>();
  /** Parent's id and mount point → the mount there. */
  readonly #children = new Map<string, Mount>();
  readonly #root: Mount | null;

  constructor(mountinfo: string) {
    for (const line of mountinfo.split('\n')) {
      const mount = parseMount(line);
      if (mount !== null) this.#byId.set(mount.id, mount);
    }
    let root: Mount | null = null;
    for (const mount of this.#byId.values()) {
      const top = mount.parentId === mount.id || !this.#byId.has(mount.parentId);
      if (!top) this.#children.set(`${mount.parentId} ${mount.mountPoint}`, mount);
      else if (mount.mountPoint === '/') root ??= mount;
    }
    this.#root = root;
  }

  byId(id: number): Mount | null {
    return this.#byId.get(id) ?? null;
  }

  /**
   * The last mount that is entered on the way along this path, read as text: what follows its mount point may hold
   * symbolic links, its mount point itself holds none. Null when the table has no root.
   */
  lastOn(components: readonly string[]): Mount | null {
    if (this.#root === null) return null;
    let mount = this.#topAt(this.#root, '/');
    let at = '';
    for (const component of components) {
      at += `/${component}`;
      mount = this.#topAt(mount, at);
    }
    return mount;
  }

  /** Mounts at one place lie one on the other, each the child of the one below. */
  #topAt(mount: Mount, mountPoint: string): Mount {
    let top = mount;
    // Ends even if a garbled table has a circle.
    for (let steps = 0; steps < this.#byId.size; steps++) {
      const child = this.#children.get(`${top.id} ${mountPoint}`);
      if (child === undefined) break;
      top = child;
    }
    return top;
  }
}

/** `36 35 98:0 /root /mount\040point rw,noatime master:1 - ext3 /dev/root rw`; null for any other line. */
function parseMount(line: string): Mount | null {
  const [before, after] = line.split(' - ', 2);
  const [id = '', parentId = '', device = '', , mountPoint = ''] = (before ?? '').split(' ');
  const [type = '', source = ''] = (after ?? '').split(' ');
  if (!/^\d+$/.test(id) || !/^\d+$/.test(parentId) || !/^\d+:\d+$/.test(device)) return null;
  if (!mountPoint.startsWith('/') || type === '') return null;
  return {
    id: Number(id),
    parentId: Number(parentId),
    device,
    mountPoint: decodeOctal(mountPoint),
    type: decodeOctal(type),
    source: decodeOctal(source),
  };
}

/** White space, `\` and `#` are written as `\` and three octal digits. */
function decodeOctal(text: string): string {
  return text.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
