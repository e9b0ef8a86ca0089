/**
 * The devices of an emulated host: every image stands on `sda` (8:0) unless told otherwise, and the limits of taps are
 * what libvirt was told last. Stand in for sysfs and for the kernel's traffic control.
 */

import type { HostDevicesOptions } from '../../src/domains/host-devices.js';
import type { Taps } from '../../src/domains/taps.js';
import type { Bandwidth } from '../../src/domains/types.js';
import type { TuneCall } from '../../src/host/libvirt/client.js';
import { formatBandwidth } from '../../src/text/bandwidth.js';

export class EmulatedDisks {
  /** Path of an image → its whole disk; null: it cannot be told now. */
  readonly images = new Map<string, string | null>();
  /** `8:0` → its name. */
  readonly names = new Map([['8:0', 'sda']]);
  /** null: as the kernel says. */
  weightsKeptBy: 'bfq' | 'iocost' | null = 'iocost';
  /** Devices that the kernel's io cost controller is on for. */
  ioCostDevices: () => ReadonlySet<string> = () => new Set();
  looks = 0;

  readonly block: HostDevicesOptions['block'] = {
    imageDevice: async (path) => {
      this.looks++;
      const device = this.images.has(path) ? this.images.get(path) : '8:0';
      if (device == null) return { ok: false, reason: 'cannot be told now', passing: true };
      return { ok: true, kind: 'file', path, fileSystem: 'ext4', devices: [device] };
    },
    wholeDisks: async (devices) => ({
      ok: true,
      disks: devices.map((device) => ({ device, name: this.names.get(device) ?? '?' })),
      through: [],
    }),
    diskQueue: async (device) => {
      const weightsKeptBy = this.weightsKeptBy ?? (this.ioCostDevices().has(device) ? 'iocost' : null);
      const scheduler = weightsKeptBy === 'bfq' ? 'bfq' : 'none';
      return { scheduler, rotational: false, ioCost: weightsKeptBy === 'iocost', weightsKeptBy };
    },
  };

  /** `/dev/sda` → `8:0` */
  deviceAt(path: string): string | null {
    for (const [device, name] of this.names) if (path === `/dev/${name}`) return device;
    return null;
  }
}

type Direction = 'in' | 'out';

export class EmulatedTaps implements Pick<Taps, 'read' | 'close'> {
  /** `vnet0/in` → what the kernel holds. */
  readonly #limits = new Map<string, Bandwidth | null>();
  /** Devices whose limits cannot be read now. */
  readonly unreadable = new Set<string>();

  read({ facts }: Parameters<Taps['read']>[0], device: string, direction: Direction): string | null {
    const one = facts?.tuning.interfaces.find((other) => other.device === device);
    if (one === undefined || this.unreadable.has(device)) return null;
    const own = direction === 'in' ? one.inbound : one.outbound;
    const limit = this.#limits.get(`${device}/${direction}`);
    return formatBandwidth(limit === undefined ? own : limit);
  }

  close(): void {}

  /** Somebody runs tc(8). */
  set(device: string, direction: Direction, limit: Bandwidth | null): void {
    this.#limits.set(`${device}/${direction}`, limit);
  }

  /** As libvirt sets it. */
  told({ device, inbound, outbound }: Extract<TuneCall, { call: 'bandwidth' }>): void {
    if (inbound !== undefined) this.set(device, 'in', inbound);
    if (outbound !== undefined) this.set(device, 'out', outbound);
  }
}
