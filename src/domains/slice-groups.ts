/**
 * The groups above guests by their paths, on cgroup v2, kept open from one look to the next. Who sets one is in its name:
 * systemd owns `.slice`, `.scope` and `.service`.
 */
import { basename, dirname } from 'node:path';
import type { GroupFile } from '../host/cgroup/codec.js';
import { readValue } from '../host/cgroup/files.js';
import type { Group } from '../host/cgroup/group.js';
import { unitOfGroup } from '../host/systemd/unit-name.js';

export type Owner =
  | { readonly kind: 'none' }
  | { readonly kind: 'systemd'; readonly unit: string }
  /** A user's own systemd, say, that the system's cannot speak for. */
  | { readonly kind: 'unreachable' };

export function ownerOf(directory: string): Owner {
  const unit = unitOfGroup(directory);
  if (unit !== null) return { kind: 'systemd', unit };
  return { kind: /\.(?:slice|scope|service)$/.test(directory) ? 'unreachable' : 'none' };
}

export class SliceGroups {
  readonly #open: (directory: string) => Group | null;
  readonly #groups = new Map<string, Group>();

  /** `open`: null when there is no such directory; may throw when that cannot be told. */
  constructor(open: (directory: string) => Group | null) {
    this.#open = open;
  }

  /** Canonical text of a value by the full path of its file; null when it cannot be read. */
  read(path: string, device?: string): string | null {
    const at = this.at(path, device);
    const text = at === null ? null : readValue(at);
    if (text !== null || at === null || at.group.exists()) return text;
    // Removed and made again since it was opened.
    this.#forget(at.group.path);
    const again = this.at(path, device);
    return again === null ? null : readValue(again);
  }

  /** Null when its group is not there, or cannot be opened now. */
  at(path: string, device?: string): GroupFile | null {
    const directory = dirname(path);
    try {
      const group = this.#groups.get(directory) ?? this.#open(directory);
      if (group === null) return null;
      this.#groups.set(directory, group);
      return { group, file: basename(path), version: 2, device };
    } catch {
      return null;
    }
  }

  /** True only when there certainly is no such group. */
  gone(path: string): boolean {
    const directory = dirname(path);
    if (this.#groups.get(directory)?.exists() === true) return false;
    this.#forget(directory);
    try {
      const group = this.#open(directory);
      if (group !== null) this.#groups.set(directory, group);
      return group === null;
    } catch {
      return false;
    }
  }

  /** Closes those that no path here needs. */
  keep(paths: Iterable<string>): void {
    const needed = new Set([...paths].map((path) => dirname(path)));
    for (const directory of [...this.#groups.keys()]) if (!needed.has(directory)) this.#forget(directory);
  }

  close(): void {
    this.keep([]);
  }

  #forget(directory: string): void {
    this.#groups.get(directory)?.close();
    this.#groups.delete(directory);
  }
}
