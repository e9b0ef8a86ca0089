/**
 * What this process was started with, byte for byte as the kernel keeps it: Node's own words and environment have passed
 * through UTF-8. Source: proc(5).
 */
import { readFileSync } from 'node:fs';
import { readProcessStat } from '../proc/process.js';

export interface OwnProcess {
  readonly pid: number;
  readonly startTicks: bigint;
  /** `KEY=VALUE`, as passed. */
  readonly environment: readonly Buffer[];
}

/** @throws when /proc is not there */
export function readOwnProcess(): OwnProcess {
  const stat = readProcessStat('/proc', process.pid);
  if (stat === null) throw new Error('/proc does not show this process');
  const environment = splitAtNul(readFileSync('/proc/self/environ'));
  return { pid: process.pid, startTicks: stat.startTicks, environment };
}

/** The last words of the command line, which say the same as `words`; null when they do not follow a `--`. */
export function readOwnWords(words: readonly string[]): readonly Buffer[] | null {
  const last = readLastWords(['--', ...words]);
  return last === null ? null : last.slice(1);
}

/** The last words of the command line, when they say the same as `words`. */
export function readLastWords(words: readonly string[]): readonly Buffer[] | null {
  const all = splitAtNul(readFileSync('/proc/self/cmdline'));
  const last = all.slice(Math.max(0, all.length - words.length));
  const same = last.length === words.length && last.every((word, at) => word.toString('utf8') === words[at]);
  return same ? last : null;
}

/** Soft limit on open files that this process was given, as far as that can be told; null: not. */
export function openFilesGiven(): { readonly soft: bigint; readonly hard: bigint } | null {
  // Node raises its soft limit to the hard one when it starts. A parent of the same hard limit handed on its own.
  const [own, parent] = [openFileLimits('self'), openFileLimits(String(process.ppid))];
  return own !== null && parent !== null && own.hard === parent.hard ? parent : null;
}

function openFileLimits(pid: string): { readonly soft: bigint; readonly hard: bigint } | null {
  try {
    const match = /^Max open files\s+(\d+)\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'latin1'));
    return match === null ? null : { soft: BigInt(match[1] as string), hard: BigInt(match[2] as string) };
  } catch {
    return null;
  }
}

/** Each ends with a NUL. */
function splitAtNul(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0, at);
    parts.push(bytes.subarray(at, end < 0 ? bytes.length : end));
    at = end < 0 ? bytes.length : end + 1;
  }
  return parts;
}
