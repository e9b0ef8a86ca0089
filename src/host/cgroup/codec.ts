/**
 * How one value is read from the kernel's files and put into them. A value goes by v2's name and has one canonical text
 * on every host; on v1 the name stands for v1's own file or files.
 */
import type { Group } from './group.js';

/** A value in an open group. */
export interface GroupFile {
  readonly group: Group;
  /** v2's name, `memory.max`. */
  readonly file: string;
  readonly version: 1 | 2;
  /** `MAJOR:MINOR`, where one file has a line for each device. */
  readonly device?: string | undefined;
}

/** One write(2). */
export interface Step {
  readonly file: string;
  readonly text: string;
  /** The kernel takes the limit and leaves it to later to bring usage below it (memory.max, memory.high). */
  readonly nonBlocking?: true;
}

export interface Codec {
  /** The kernel's files that it stands for; none where the version has no such value. */
  kernelFiles(version: 1 | 2): readonly string[];
  /** Canonical text; null when it cannot be read. */
  read(at: GroupFile): string | null;
  /** The writes that bring the text there, in order; null for a text that is no such value. Absent: read only. */
  steps?(at: GroupFile, text: string): readonly Step[] | null;
}

/** The kernel's file on each version; null where there is none. */
export interface Names {
  readonly v1: string | null;
  readonly v2: string | null;
}

export interface SettingOptions {
  readonly names: Names;
  /** True for a canonical text that may be written. */
  isValue(text: string): boolean;
  readonly nonBlocking?: true;
  /** What v1 calls the same value. */
  readonly onV1?: { read(text: string): string; write(text: string): string };
}

const nameOn = ({ v1, v2 }: Names, version: 1 | 2): string | null => (version === 1 ? v1 : v2);
const listed = (name: string | null): readonly string[] => (name === null ? [] : [name]);

/** A value that is one file's whole text. */
export function setting({ names, isValue, nonBlocking, onV1 }: SettingOptions): Codec {
  return {
    kernelFiles: (version) => listed(nameOn(names, version)),
    read({ group, version }) {
      const name = nameOn(names, version);
      const text = name === null ? null : group.read(name);
      return text !== null && version === 1 && onV1 !== undefined ? onV1.read(text) : text;
    },
    steps({ version }, text) {
      const file = nameOn(names, version);
      if (file === null || !isValue(text)) return null;
      if (version === 1) return [{ file, text: onV1?.write(text) ?? text }];
      return [{ file, text, ...(nonBlocking && { nonBlocking }) }];
    },
  };
}

/** A figure of the kernel's, never written. Its files do not stay open: opening costs less than what it takes to print them. */
export function statistic(names: Names, onV1: (text: string) => string | null = (text) => text): Codec {
  return {
    kernelFiles: (version) => listed(nameOn(names, version)),
    read({ group, version }) {
      const name = nameOn(names, version);
      const text = name === null ? null : group.readOnce(name);
      return text !== null && version === 1 ? onV1(text) : text;
    },
  };
}

export const isCount = (text: string): boolean => /^\d{1,20}$/.test(text);
export const isCountOrMax = (text: string): boolean => text === 'max' || isCount(text);
