/**
 * Both tables of the demo as one live block, and the verdict on what they show. Takes what was measured and the guests as
 * the daemon shows them.
 */
import { cut } from '../src/cli/render/cell.js';
import { wantsColor } from '../src/cli/render/style.js';
import type { ControlSnapshot, DomainSnapshot } from '../src/snapshot/types.js';
import { type DiskRow, diskLimitHolds, readLimitOf, renderDiskTable } from './disk-table.js';
import type { DemoGuest } from './guests.js';
import { renderHeld } from './held.js';
import { type HostShare, hostShareWords } from './host-cpu.js';
import type { Rates } from './meters.js';
import type { Screen } from './screen.js';
import { judge, type Row, renderDemoTable, type TableOptions, TOLERANCE_CORES } from './table.js';

export interface Measured {
  readonly before: Rates;
  /** null: only the time before has been measured. */
  readonly now: Rates | null;
  /** The demo's guests. */
  readonly domains: readonly DomainSnapshot[];
  /** Given while the table lives: one line under it says why a guest is short. */
  readonly host?: HostShare;
}

export class View {
  readonly #screen: Screen;
  readonly #guests: readonly DemoGuest[];
  readonly #options: TableOptions;

  constructor(screen: Screen, guests: readonly DemoGuest[]) {
    this.#screen = screen;
    this.#guests = guests;
    this.#options = { color: wantsColor(screen.live, process.env), width: screen.width };
  }

  /** Over what was drawn before, on a terminal; `always` also without one. */
  draw(measured: Measured, { always = false } = {}): void {
    const width = this.#screen.width;
    const rows = this.#cpuRows(measured);
    const lines = renderDemoTable(rows, { ...this.#options, width });
    lines.push('', ...renderDiskTable(this.#diskRows(measured), { ...this.#options, width }));
    if (measured.host !== undefined) {
      const isShort = rows.some((row) => judge(row) === 'short');
      lines.push('', isShort ? cut(`  ${hostShareWords(measured.host)}`, width ?? Number.POSITIVE_INFINITY) : '');
    }
    this.#screen.draw(lines, { always });
  }

  /** The figures that stay: what they mean where it is not plain, and what else is held. True when every limit holds. */
  conclude(measured: Measured & { readonly host: HostShare }): boolean {
    const { host, ...figures } = measured;
    this.draw(figures, { always: true });
    this.#screen.keep();
    const rows = this.#cpuRows(measured);
    const disks = this.#diskRows(measured);
    const notes: string[] = [];
    if (rows.every(({ beforeCores, limitCores }) => (beforeCores ?? 0) <= (limitCores ?? Number.POSITIVE_INFINITY))) {
      notes.push('This host is busy with other work: no guest got more than its CPU limit before either.');
    }
    if (disks.some(({ limit, beforePerSecond }) => limit !== null && (beforePerSecond ?? 0) <= limit.readsPerSecond)) {
      notes.push('The disk, or the host, is slow or busy: no more reads than the limit were done before either.');
    }
    if (disks.some(isHeldByCpu)) notes.push('It reads less than it may: a lack of CPU holds it, not its disk limit.');
    if (rows.some((row) => judge(row) === 'short')) notes.push(hostShareWords(host));
    if (notes.length > 0) this.#screen.say('');
    for (const note of notes) this.#screen.say(`  ${note}`);
    this.#screen.say('');
    for (const line of renderHeld(measured.domains, { ...this.#options, width: this.#screen.width }))
      this.#screen.say(line);
    return rows.every(cpuLimitHolds) && disks.every(diskLimitHolds);
  }

  #cpuRows({ before, now, domains }: Measured): Row[] {
    return this.#guests.map((guest, index) => {
      const domain = domains.find(({ uuid }) => uuid === guest.uuid);
      return {
        guest: guest.name,
        className: domain?.className ?? null,
        vcpus: guest.vcpus,
        guaranteedCores: domain?.guaranteedCores ?? null,
        limitCores: cpuLimitOf(domain?.controls ?? []),
        beforeCores: before.cores[index] ?? null,
        nowCores: now?.cores[index] ?? null,
      };
    });
  }

  #diskRows({ before, now, domains }: Measured): DiskRow[] {
    return this.#guests.flatMap((guest, index) => {
      if (!guest.reads) return [];
      const domain = domains.find(({ uuid }) => uuid === guest.uuid);
      return {
        guest: guest.name,
        className: domain?.className ?? null,
        limit: readLimitOf(domain),
        beforePerSecond: before.readsPerSecond[index] ?? null,
        nowPerSecond: now?.readsPerSecond[index] ?? null,
      };
    });
  }
}

function isHeldByCpu({ limit, nowPerSecond }: DiskRow): boolean {
  return limit !== null && nowPerSecond !== null && nowPerSecond < 0.8 * limit.readsPerSecond;
}

function cpuLimitOf(controls: readonly Pick<ControlSnapshot, 'id' | 'amounts'>[]): number | null {
  return controls.find(({ id }) => id === 'cpu.limit')?.amounts[0]?.desired ?? null;
}

/** A guest without a limit has none to break. */
function cpuLimitHolds({ className, limitCores, nowCores }: Row): boolean {
  if (className === null || nowCores === null) return false;
  return limitCores === null || nowCores <= limitCores + TOLERANCE_CORES;
}
