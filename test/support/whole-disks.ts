/** Whole disks under a path, as findmnt and lsblk tell them and not virtslad. */
import { execute } from './command.js';

export interface WholeDisk {
  /** `254:0`, as the files of cgroups want it. */
  readonly device: string;
  /** `vda` */
  readonly name: string;
}

/** None for a file system that stands on no device. */
export async function findWholeDisks(path: string): Promise<readonly WholeDisk[]> {
  const { stdout: source } = await execute('findmnt', ['--noheadings', '--nofsroot', '-o', 'SOURCE', '-T', path]);
  const columns = ['--inverse', '--raw', '--noheadings', '-o', 'MAJ:MIN,TYPE,NAME'];
  const { code, stdout } = await execute('lsblk', [...columns, source.trim()]);
  const rows = code === 0 ? stdout.trim().split('\n') : [];
  return rows.flatMap((row) => {
    const [device = '', type = '', name = ''] = row.trim().split(/\s+/);
    return type === 'disk' ? [{ device, name }] : [];
  });
}
