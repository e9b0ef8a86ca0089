/**
 * How stdin, stdout and stderr were when this process began: Node makes pipes non-blocking when they are first used, and
 * that would stay with whoever shares them. So this is imported before anything is printed. Source: proc(5), fdinfo.
 */
import { readFileSync } from 'node:fs';

export interface StdioFlags {
  readonly fd: number;
  /** O_NONBLOCK, O_APPEND and the like, as fcntl(F_SETFL) takes them. */
  readonly flags: number;
}

/** Those that are open. */
export const STDIO_AT_START: readonly StdioFlags[] = [0, 1, 2].flatMap((fd) => {
  const flags = readFlags(fd);
  return flags === null ? [] : [{ fd, flags }];
});

/** Null for a descriptor that is not open. */
export function readFlags(fd: number): number | null {
  try {
    const octal = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
    return octal === undefined ? null : Number.parseInt(octal, 8);
  } catch {
    return null;
  }
}
