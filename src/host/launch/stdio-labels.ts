/** The labels of the pipes and sockets among stdin, stdout and stderr. Source: proc(5), getxattr(2). */
import { fstatSync } from 'node:fs';
import type { HandedStream } from '../../launch/stdio.js';
import { readLabel } from '../selinux/xattr.js';

/** Those that are open and wear a label. @throws VirtsladError NATIVE_LIBRARY_MISSING */
export function readStdioLabels(): readonly HandedStream[] {
  return [0, 1, 2].flatMap((fd) => {
    const kind = kindOf(fd);
    if (kind === null) return [];
    // Neither has a file system that could keep the call waiting.
    const { label } = readLabel(`/proc/self/fd/${fd}`);
    return label === null ? [] : [{ fd, kind, label }];
  });
}

function kindOf(fd: number): HandedStream['kind'] | null {
  try {
    const stats = fstatSync(fd);
    if (stats.isFIFO()) return 'pipe';
    return stats.isSocket() ? 'socket' : null;
  } catch {
    return null;
  }
}
