/** Files in memory: a directory tree with symbolic links and device nodes, and a record of every look at it. */
import type { FileFacts, Files, Look } from '../../src/host/block/bounded-files.js';

export interface Entry {
  readonly kind: FileFacts['kind'];
  readonly target?: string;
  readonly device?: string;
  readonly nodeDevice?: string;
  readonly sizeBytes?: number;
}

export class FakeFiles implements Files {
  readonly looks: string[] = [];
  readonly #entries: ReadonlyMap<string, Entry>;

  /** `/` is there without being named. */
  constructor(entries: Readonly<Record<string, Entry>> | ReadonlyMap<string, Entry>) {
    this.#entries = entries instanceof Map ? entries : new Map(Object.entries(entries));
  }

  async lstat(path: string): Promise<Look<FileFacts>> {
    this.looks.push(path);
    const entry = path === '/' ? { kind: 'directory' as const } : this.#entries.get(path);
    if (entry === undefined) return { ok: false, reason: 'no such file', passing: true };
    const { kind, device = '254:0', nodeDevice = '0:0', sizeBytes = 1 << 20 } = entry;
    return { ok: true, value: { kind, device, nodeDevice, sizeBytes } };
  }

  stat(path: string): Promise<Look<FileFacts>> {
    return this.lstat(path);
  }

  async readlink(path: string): Promise<Look<string>> {
    this.looks.push(path);
    return { ok: true, value: this.#entries.get(path)?.target ?? '' };
  }

  async readText(path: string): Promise<Look<string>> {
    this.looks.push(path);
    return { ok: false, reason: 'no such file', passing: true };
  }
}
