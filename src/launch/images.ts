/** The images that a guest may write, by its command line, and whether their labels let it alone reach them. Pure. */
import { isAbsolute, join } from 'node:path';
import type { BareDisk } from '../domains/bare-devices.js';
import type { FileLabel } from '../host/selinux/file-labels.js';
import { levelText, parseLabel } from '../svirt/label.js';
import { printable } from '../text/printable.js';

/** Absolute paths, each once; a relative one is looked up where QEMU will look it up, in its working directory. */
export function writableImages(disks: readonly BareDisk[], workingDirectory: string): readonly string[] {
  const paths = disks
    .filter(({ path, readOnly }) => path !== null && !readOnly && !path.startsWith('/dev/fdset/'))
    .map(({ path }) => path as string);
  return [...new Set(paths.map((path) => (isAbsolute(path) ? path : join(workingDirectory, path))))];
}

export interface WrongImage {
  /** What is wrong with it. */
  readonly message: string;
  readonly path: string;
  /** What mends it. */
  readonly fix: string;
}

/** Null: the label is the wanted one, or the file system keeps none (network storage has its own booleans). */
export function wrongImage({ path, label, problem }: FileLabel, wanted: string): WrongImage | null {
  const [, , type = '', ...level] = wanted.split(':');
  const shown = printable(path, 256);
  const fix = `run: chcon -t ${type} -l ${level.join(':')} ${quoted(path)}; restorecon gives it the label of its place again`;
  if (problem === 'unsupported') return null;
  if (problem === 'missing') return { message: `there is no such image: ${shown}`, path, fix: 'correct the path' };
  if (problem !== null) {
    const why = problem === 'timeout' ? 'did not answer in time' : 'cannot be read';
    return { message: `the label of image ${shown} ${why}`, path, fix: 'look after the file system that it is on' };
  }
  if (label === null) return { message: `image ${shown} wears no label`, path, fix };
  const [has, wants] = [parseLabel(label), parseLabel(wanted)];
  const same = has.ok && wants.ok && has.label.type === wants.label.type && levelText(label) === levelText(wanted);
  return same
    ? null
    : { message: `image ${shown} wears ${printable(label, 128)}, the guest needs ${wanted}`, path, fix };
}

/** For a shell, which people paste it into. */
function quoted(path: string): string {
  const safe = printable(path, 4096);
  return /^[\w@%+=:,./-]+$/.test(safe) ? safe : `'${safe.replaceAll("'", `'\\''`)}'`;
}
