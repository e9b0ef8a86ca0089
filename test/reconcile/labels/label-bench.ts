/**
 * The emulated host with SELinux, for what is done about labels: libvirt gives labels, its guests can be saved and restored,
 * and the daemon dies at any call to libvirt that a test names, as by kill -9: what it had asked for is carried out or not,
 * and nothing of it goes on.
 *
 *     const bench = new LabelBench();
 *     bench.setClass(STATIC);
 *     const uuid = bench.addGuest({ name: 'db-1' });
 *     bench.crashAt = { op: 'managedSave', when: 'after' };
 *     await bench.boot(); await bench.live(3); await bench.boot();
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LibvirtClient } from '../../../src/host/libvirt/client.js';
import type { SaveRestoreSnapshot } from '../../../src/snapshot/security.js';
import { EmulatedBench, type LogLine, pause } from '../emulated-bench.js';

export const STATIC = 'svirt: { mode: static }';
export const AT_ONCE = 'svirt: { mode: static, apply: save-restore, max-downtime: 4s }';
/** So small that a modest disk has it there and back in time. */
export const SMALL = { hardware: { memoryBytes: 32 * 2 ** 20, currentMemoryBytes: 32 * 2 ** 20 } };

type Call = keyof LibvirtClient;

export class LabelBench extends EmulatedBench {
  crashAt: { readonly op: Call; readonly when: 'before' | 'after' } | null = null;
  /** Called before each call to libvirt. */
  onCall: (op: Call) => void = () => undefined;
  readonly #dead = new Set<number>();
  #onDeath: () => void = () => undefined;
  #life = 0;

  constructor() {
    super('v2-nested', { selinux: true });
    this.wrapLibvirt = (client) => this.#mortal(client, ++this.#life);
  }

  get isDead(): boolean {
    return this.#dead.has(this.#life);
  }

  /** Of a daemon that dies at its first doings. */
  async bootToDeath(): Promise<void> {
    const death = new Promise<void>((resolve) => {
      this.#onDeath = resolve;
    });
    await Promise.race([this.boot().then(() => this.live(3)), death]);
  }

  override async kill(): Promise<void> {
    this.#dead.add(this.#life);
    await super.kill();
  }

  /** So many times what the daemon's timer does, and what follows from it. */
  async live(count = 1): Promise<void> {
    for (let index = 0; index < count && !this.isDead; index++) {
      this.elapsedMs += 5_000;
      const death = new Promise<void>((resolve) => {
        this.#onDeath = resolve;
      });
      await Promise.race([this.#round(), death]);
    }
  }

  async #round(): Promise<void> {
    const { labels } = this.core.parts;
    await this.core.reconciler.resync();
    await this.cycle();
    await Promise.race([Promise.all([labels.actions.idle(), labels.saveRestore.idle()]), pause(40)]);
    await this.cycle();
  }

  /** As with SIGTERM. */
  async stopDaemon(): Promise<void> {
    const { reconciler, parts } = this.core;
    await Promise.allSettled([reconciler.stop(), parts.labels.close()]);
    await this.kill();
  }

  calls(op: string): number {
    return this.libvirt.calls.filter((call) => call.op === op).length;
  }

  /** Texts of the labels that the definition was told. */
  told(uuid: string): string[] {
    return this.libvirt.calls
      .filter((call) => call.op === 'tune' && call.uuid === uuid)
      .flatMap(({ calls = [] }) => calls.flatMap((call) => (call.call === 'seclabel' ? [call.text] : [])));
  }

  defined(uuid: string): string | null {
    return this.libvirt.definitionSeclabels(uuid).find(({ model }) => model === 'selinux')?.label ?? null;
  }

  worn(uuid: string): string | null {
    return this.libvirt.seclabels(uuid).find(({ model }) => model === 'selinux')?.label ?? null;
  }

  label(uuid: string): string {
    return this.statuses(uuid)['svirt.label'] ?? 'nothing';
  }

  way(uuid: string): SaveRestoreSnapshot | null {
    return this.core.parts.labels.saveRestore.of(uuid);
  }

  runs(uuid: string): boolean {
    return this.libvirt.id(uuid) !== null;
  }

  logged(event: string): LogLine[] {
    return this.core.log.filter((line) => line.event === event);
  }

  /** What is on disk of what was done about labels. */
  onDisk(): { readonly journey: { readonly phase: string } | null; readonly failed: object } | null {
    try {
      return JSON.parse(readFileSync(join(this.stateDir, 'label-actions.json'), 'utf8'));
    } catch {
      return null;
    }
  }

  #mortal(client: LibvirtClient, life: number): LibvirtClient {
    const never = new Promise<never>(() => undefined);
    return new Proxy(client, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...given: unknown[]): unknown => {
          const op = name as Call;
          const crash = this.crashAt?.op === op ? this.crashAt : null;
          if (crash?.when === 'before') this.#die(life);
          const asks = !['status', 'onEvent', 'start', 'stop'].includes(op);
          if (asks && this.#dead.has(life)) return never;
          this.onCall(op);
          const result: unknown = value.apply(target, given);
          if (!asks || !(result instanceof Promise)) return result;
          return result.then((outcome: unknown) => {
            if (crash?.when === 'after') this.#die(life);
            return this.#dead.has(life) ? never : outcome;
          });
        };
      },
    });
  }

  #die(life: number): void {
    this.crashAt = null;
    this.#dead.add(life);
    this.#onDeath();
  }
}
