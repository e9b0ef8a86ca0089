/**
 * Follows a path to the file it names without touching any file system that may hang: mount by mount from the mount
 * table, component by component with lstat and readlink, and only where the table says that the component is local.
 * A path that leads through or to another file system ends with the reason. Source: path_resolution(7).
 */
import type { FileFacts, Files, Look } from './bounded-files.js';
import { fileSystemFacts } from './file-system.js';
import type { Mount, MountTable } from './mount-table.js';

/** The kernel's own bound on symbolic links (MAXSYMLINKS), and one on looks: no image lies that deep. */
const LINKS_MAX = 40;
const LOOKS_MAX = 128;
const PATH_LENGTH_MAX = 4096;

export interface LocalFile {
  /** Without symbolic links, `.` and `..`. */
  readonly path: string;
  readonly mount: Mount;
  readonly facts: FileFacts;
}

export async function followLocalPath(path: string, mounts: MountTable, files: Files): Promise<Look<LocalFile>> {
  if (!path.startsWith('/') || path.includes('\0') || path.length > PATH_LENGTH_MAX) return never('not a path');
  let done: string[] = [];
  let rest = components(path);
  let links = 0;
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    // Mount points hold no symbolic links, so what lies before the last one need not be looked at. `..` ends the text
    // that can be taken as it is.
    const upTo = rest.indexOf('..');
    const mount = mounts.lastOn([...done, ...(upTo < 0 ? rest : rest.slice(0, upTo))]);
    if (mount === null) return never('the mounts of the host cannot be read');
    const entered = components(mount.mountPoint);
    if (entered.length > done.length) {
      rest = rest.slice(entered.length - done.length);
      done = entered;
    }
    const { local, noDevice } = fileSystemFacts(mount.type, mount.device);
    if (!local) return never(noDevice ?? `image on ${mount.type}`);
    const next = rest.shift();
    if (next === '..') {
      done = done.slice(0, -1);
      continue;
    }
    const at = next === undefined ? done : [...done, next];
    const look = await files.lstat(`/${at.join('/')}`);
    if (!look.ok) return look;
    if (look.value.kind === 'link') {
      if (++links > LINKS_MAX) return never('too many symbolic links');
      const target = await files.readlink(`/${at.join('/')}`);
      if (!target.ok) return target;
      if (target.value.startsWith('/')) done = [];
      rest = [...components(target.value), ...rest];
      continue;
    }
    if (rest.length === 0) return { ok: true, value: { path: `/${at.join('/')}`, mount, facts: look.value } };
    if (look.value.kind !== 'directory') return { ok: false, reason: 'no such file', passing: true };
    done = at;
  }
  return never('too many components');
}

function components(path: string): string[] {
  return path.split('/').filter((component) => component !== '' && component !== '.');
}

function never(reason: string): Look<never> {
  return { ok: false, reason, passing: false };
}
