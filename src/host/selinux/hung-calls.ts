/**
 * The calls on files that have overrun and not come back, and which other paths are better not asked because of them: a
 * file system that does not answer would take one thread after the other.
 */
import { fileSystemFacts } from '../block/file-system.js';
import type { MountTable } from '../block/mount-table.js';

/** Of one place, the mount or the directory: two hung calls are no accident. */
const HUNG_PER_PLACE_MAX = 2;
/** A hung path is asked anew after this, its first call back or not. */
const ASK_AGAIN_AFTER_MS = 60_000;

export interface HungCall {
  /** Null: the thread hung before it came to a path. */
  readonly path: string | null;
  readonly place: string | null;
  readonly sinceMs: number;
}

export interface HungCallsOptions {
  readonly maxAbandoned: number;
  /** Null when the table cannot be read. */
  readonly mounts: () => MountTable | null;
  /** Monotonic, ms. */
  readonly now: () => number;
}

export class HungCalls {
  readonly #options: HungCallsOptions;
  readonly #calls = new Set<HungCall>();

  constructor(options: HungCallsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#calls.size;
  }

  get paths(): readonly string[] {
    return [...new Set([...this.#calls].flatMap(({ path }) => (path === null ? [] : [path])))];
  }

  /** One thread more than may be given up: for all that is not known to hang. */
  get mayStartThread(): boolean {
    return this.#calls.size <= this.#options.maxAbandoned;
  }

  add(path: string | null): HungCall {
    const place = path === null ? null : placeOf(path, this.#options.mounts());
    const call = { path, place, sinceMs: this.#options.now() };
    this.#calls.add(call);
    return call;
  }

  delete(call: HungCall): void {
    this.#calls.delete(call);
  }

  /** Gives the question whether a path may be asked now. */
  mayAsk(): (path: string) => boolean {
    if (this.#calls.size === 0) return () => true;
    const nowMs = this.#options.now();
    const recent = new Set<string | null>();
    const perPlace = new Map<string, number>();
    for (const { path, place, sinceMs } of this.#calls) {
      if (nowMs - sinceMs < ASK_AGAIN_AFTER_MS) recent.add(path);
      if (place !== null) perPlace.set(place, (perPlace.get(place) ?? 0) + 1);
    }
    const max = this.#calls.size < this.#options.maxAbandoned ? HUNG_PER_PLACE_MAX : 1;
    const mounts = this.#options.mounts();
    return (path) => !recent.has(path) && (perPlace.get(placeOf(path, mounts)) ?? 0) < max;
  }
}

/**
 * The mount of a path read as text; on a local file system the directory, because there it is a symbolic link on the
 * way, or a disk, that hangs, and not all of the root's file system.
 */
function placeOf(path: string, mounts: MountTable | null): string {
  const components = path.split('/').filter((component) => component !== '' && component !== '.');
  const mount = mounts?.lastOn(components) ?? null;
  if (mount !== null && !fileSystemFacts(mount.type, mount.device).local) return `mount ${mount.id}`;
  return `directory /${components.slice(0, -1).join('/')}`;
}
