/**
 * Sets one file of a group above guests: a slice through systemd, another group by the kernel's file; gives what became
 * of it. Without an answer from systemd none of its units is asked until another try is due.
 */
import { basename, dirname } from 'node:path';
import { unitTell } from '../../controls/memory-files.js';
import { ownerOf, type SliceGroups } from '../../domains/slice-groups.js';
import type { SystemdProperties } from '../../host/systemd/properties.js';
import type { writeGroupFile } from '../apply.js';
import { type Attempt, failed, HostWrites, type HostWritesOptions } from './host-writes.js';
import { SLICE_CONTROL, type SliceWrite } from './slice-plan.js';

export interface SliceWriterOptions extends HostWritesOptions {
  readonly systemd: Pick<SystemdProperties, 'set'>;
  readonly write: typeof writeGroupFile;
  readonly pause?: (ms: number) => Promise<void>;
}

/** systemd answers before it has written the kernel's files: between looks at what stands there. */
const SYSTEMD_WRITES_MS = [20, 50, 100, 200, 400];
/** In the place of a path: systemd as a whole. */
const SYSTEMD = 'systemd';

export class SliceWriter {
  readonly #options: SliceWriterOptions;
  readonly #groups: SliceGroups;
  readonly #writes: HostWrites;
  readonly #unsettled = new Set<string>();

  constructor(options: SliceWriterOptions, groups: SliceGroups) {
    this.#options = options;
    this.#groups = groups;
    this.#writes = new HostWrites(SLICE_CONTROL, 'guarantees of guests below do not hold', options);
  }

  /** False when it was not tried: put off, contested, or something else stands there by now. */
  async attempt(write: SliceWrite): Promise<boolean> {
    const { path, from } = write;
    const owner = ownerOf(dirname(path));
    const early = !this.#writes.due(path) || (owner.kind === 'systemd' && !this.#writes.due(SYSTEMD));
    if (early || this.contested(path) || this.#groups.read(path) !== from) return false;
    if (owner.kind === 'unreachable') this.#writes.note(write, failed('another systemd than the system’s owns it'));
    else this.#writes.note(write, owner.kind === 'none' ? this.#direct(write) : await this.#through(owner.unit, write));
    return true;
  }

  /** Why the last try failed; null when it did not. */
  failure(path: string): string | null {
    const shared = ownerOf(dirname(path)).kind === 'systemd' ? this.#writes.failure(SYSTEMD) : null;
    return this.#writes.failure(path) ?? shared;
  }

  /** True while repairs of it are spaced out. */
  contested(path: string): boolean {
    return this.#writes.contested(path);
  }

  /** A call that did not come back in time may still set a value. */
  unsettled(path: string): boolean {
    return this.#unsettled.has(path);
  }

  /** What failed is tried at once. */
  retry(): void {
    this.#writes.retry();
  }

  /** Forgets what is no longer looked at. */
  keep(paths: readonly string[]): void {
    this.#writes.keep([SYSTEMD, ...paths]);
    for (const path of [...this.#unsettled]) if (!paths.includes(path)) this.#unsettled.delete(path);
  }

  #direct({ path, text }: SliceWrite): Attempt {
    const at = this.#groups.at(path);
    if (at === null) return { outcome: 'vanished', message: null };
    const result = this.#options.write(at, text);
    switch (result.kind) {
      case 'written':
        return { outcome: 'applied', message: null };
      case 'vanished':
        return { outcome: 'vanished', message: null };
      case 'differs':
        return failed(`the kernel took ${text} and stands at ${result.actual ?? 'nothing'}`);
      case 'refused':
        return failed(result.message);
    }
  }

  async #through(unit: string, { path, text }: SliceWrite): Promise<Attempt> {
    const { systemd, pause = pauseFor } = this.#options;
    const properties = unitTell(dirname(path), [[basename(path), text]])?.units[0]?.properties ?? [];
    const outcome = await systemd.set(unit, properties);
    if (!outcome.ok) {
      if (outcome.failure === 'timeout') this.#unsettled.add(path);
      if (outcome.failure === 'timeout' || outcome.failure === 'absent') this.#writes.failed(SYSTEMD, outcome.message);
      return failed(outcome.message);
    }
    this.#writes.forget(SYSTEMD);
    // It does one thing after the other: what was asked before is done, too.
    this.#unsettled.delete(path);
    let actual = this.#groups.read(path);
    for (const waitMs of SYSTEMD_WRITES_MS) {
      if (actual === text) break;
      await pause(waitMs);
      actual = this.#groups.read(path);
    }
    if (actual === text) return { outcome: 'applied', message: null };
    return failed(`systemd took ${text} and ${actual ?? 'nothing'} stands there`);
  }
}

function pauseFor(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
