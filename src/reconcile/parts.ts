/** What a cycle works with, wired in `src/daemon.ts`. */
import type { Control, HostFacts } from '../controls/control.js';
import type { DiskReadings } from '../domains/disk-readings.js';
import type { HostDevices } from '../domains/host-devices.js';
import type { Inventory } from '../domains/inventory.js';
import type { Domain } from '../domains/types.js';
import type { Clock } from '../host/clock.js';
import type { Log } from '../log.js';
import type { EffectiveClass } from '../policy/types.js';
import type { Attribution } from './attribution.js';
import type { Contention } from './contested.js';
import type { Counters } from './counters.js';
import type { Gate } from './gate.js';
import type { Generations } from './generations.js';
import type { HandsOffRegister } from './hands-off.js';
import type { History } from './history.js';
import type { IoCost } from './host-controls/io-cost.js';
import type { SliceGuarantees } from './host-controls/slice-guarantees.js';
import type { Journal } from './journal.js';
import type { Labels } from './labels/labels.js';
import type { Memory } from './memory.js';
import type { Picture } from './picture.js';
import type { Teller } from './tell.js';

export interface Parts {
  readonly clock: Clock;
  readonly log: Log;
  readonly host: HostFacts;
  readonly controls: readonly Control[];
  readonly inventory: Inventory;
  readonly disks: DiskReadings;
  readonly hostDevices: HostDevices;
  readonly generations: Generations;
  readonly journal: Journal;
  readonly handsOff: HandsOffRegister;
  readonly gate: Gate;
  readonly contention: Contention;
  readonly attribution: Attribution;
  readonly memory: Memory;
  readonly counters: Counters;
  readonly history: History;
  readonly teller: Teller;
  readonly picture: Picture;
  readonly slices: SliceGuarantees;
  readonly labels: Labels;
  readonly ioCost: IoCost;
  /** `UUID CONTROL` → why libvirt could not be told the last time. */
  readonly tellFailures: Map<string, string>;
  /** Resolves when what had to be asked about guests (QEMU's throttles, what their disks stand on) is known. */
  looked(): Promise<void>;
  /** False for a domain outside what the configuration lets this daemon manage. */
  manages(domain: Domain): boolean;
  /** The class of a domain now: null when nothing matches, or it is not managed. */
  classOf(domain: Domain): EffectiveClass | null;
}
