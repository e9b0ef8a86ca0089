/**
 * The security label of a process: /proc/PID/attr/current, as the kernel gives it. A label is data from the host, never
 * trusted text. Read synchronously, once per guest and cycle: one open, one read, one close. Whether the pid is still
 * the same process is the caller's to check. Source: proc(5), security_getprocattr in the kernel.
 */
import { closeSync, openSync, readSync } from 'node:fs';

/** What the kernel gives at most: one page. */
const PAGE_BYTES = 4096;
const buffer = Buffer.allocUnsafe(PAGE_BYTES);

/** What ends the text: SELinux gives a NUL, AppArmor a line feed. */
const ENDINGS: readonly (number | undefined)[] = [0, 10];

/**
 * The label's bytes as Latin-1, without the NUL or line feed at its end. Null when there is none to be read: no security
 * module answers (EINVAL), the process has gone (ENOENT, ESRCH), or it cannot be told now.
 */
export function readProcessLabel(procRoot: string, pid: number | 'self'): string | null {
  let fd: number;
  try {
    fd = openSync(`${procRoot}/${pid}/attr/current`, 'r');
  } catch {
    return null;
  }
  try {
    let length = readSync(fd, buffer, 0, PAGE_BYTES, 0);
    while (length > 0 && ENDINGS.includes(buffer[length - 1])) length--;
    return length === 0 ? null : buffer.toString('latin1', 0, length);
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}
