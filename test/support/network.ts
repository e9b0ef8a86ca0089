/**
 * A network for the guests of a lab: taps, bridges, traffic and counters. Guests send with the boot program `send`; towards
 * the guest this process sends to all nodes of one interface (ff02::1, RFC 4291), which needs no address and touches no other.
 * Names of interfaces made here begin with the lab's suffix; what a killed run left behind is removed by the next.
 */
import { createSocket, type Socket } from 'node:dgram';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { execute, output } from './command.js';
import type { Lab } from './lab.js';
import { LAB_PARENT } from './lab-kind.js';
import { exposeDevice } from './lab-namespace.js';
import { installTcStandIn, type KernelOption, missingForBandwidth } from './tc-stand-in.js';
import { sleep, waitUntil } from './wait.js';

const PREFIX = 'vsl';
const TUN = '/dev/net/tun';

export class LabNetwork {
  /** What libvirt's limits need and this kernel lacks; unless it is empty, a stand-in for `tc` is in force. */
  readonly missing: readonly KernelOption[];
  readonly #lab: Lab;
  #bridges = 0;

  private constructor(lab: Lab, missing: readonly KernelOption[]) {
    this.#lab = lab;
    this.missing = missing;
  }

  /** Lets the lab's libvirtd make taps; to be done again after a restart of it. Null: this host has no taps. */
  static async open(lab: Lab): Promise<LabNetwork | null> {
    if (!existsSync(TUN)) return null;
    await removeLeftovers();
    await exposeDevice(lab.directory, TUN);
    const missing = await missingForBandwidth();
    if (missing.length > 0) await installTcStandIn(lab.directory, `${PREFIX}${lab.suffix}i`);
    lab.cleanup.defer('remove the interfaces of the lab', () => removeInterfaces(`${PREFIX}${lab.suffix}`));
    return new LabNetwork(lab, missing);
  }

  /** A bridge with no port and no address. */
  async makeBridge(): Promise<string> {
    this.#bridges += 1;
    const name = `${PREFIX}${this.#lab.suffix}b${this.#bridges}`;
    await output('ip', ['link', 'add', name, 'type', 'bridge']);
    await output('ip', ['link', 'set', name, 'up']);
    return name;
  }
}

/** Bytes that have passed an interface; of a tap, `tx` is towards the guest and `rx` from it, before any limit. */
export function interfaceBytes(name: string, direction: 'rx' | 'tx'): number {
  return Number(readFileSync(`/sys/class/net/${name}/statistics/${direction}_bytes`, 'utf8'));
}

export async function measureInterface(name: string, direction: 'rx' | 'tx', seconds: number): Promise<number> {
  const [before, began] = [interfaceBytes(name, direction), performance.now()];
  await sleep(seconds);
  return ((interfaceBytes(name, direction) - before) * 1000) / (performance.now() - began);
}

/** Sends to all nodes behind one interface until it is stopped. */
export class Flood {
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;

  private constructor(socket: Socket, address: string, bytesPerSecond: number) {
    this.#socket = socket;
    const payload = Buffer.alloc(1400);
    let waiting = 0;
    let due = 0;
    let last = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      due = Math.min(due + ((now - last) / 1000) * bytesPerSecond, bytesPerSecond / 10);
      last = now;
      // A queue behind the limit holds the datagrams back; more of them would only pile up here.
      for (; due >= payload.length && waiting < 200; due -= payload.length) {
        waiting += 1;
        // Port 9 is discard (RFC 863).
        this.#socket.send(payload, 9, address, () => {
          waiting -= 1;
        });
      }
    }, 2);
  }

  /** Returns when the first datagrams have left. Default: 8 MB a second. */
  static async start(interfaceName: string, bytesPerSecond = 8e6): Promise<Flood> {
    const socket = createSocket('udp6');
    await new Promise<void>((resolve) => socket.bind(0, resolve));
    socket.setMulticastLoopback(false);
    const before = interfaceBytes(interfaceName, 'tx');
    const flood = new Flood(socket, `ff02::1%${interfaceName}`, bytesPerSecond);
    // A new interface takes a second or two to find its own address.
    const flows = (): boolean => interfaceBytes(interfaceName, 'tx') > before + 14_000;
    await waitUntil(`datagrams to leave by ${interfaceName}`, flows, { seconds: 10 });
    return flood;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }
}

async function removeLeftovers(): Promise<void> {
  const labs = readdirSync(LAB_PARENT).flatMap((name) => /^virtslad-lab-([0-9a-f]+)-/.exec(name)?.[1] ?? []);
  for (const name of readdirSync('/sys/class/net')) {
    const suffix = new RegExp(`^${PREFIX}([0-9a-f]{6})[bi]\\d+$`).exec(name)?.[1];
    if (suffix !== undefined && !labs.includes(suffix)) await execute('ip', ['link', 'del', name]);
  }
}

async function removeInterfaces(prefix: string): Promise<void> {
  for (const name of readdirSync('/sys/class/net').filter((each) => each.startsWith(prefix))) {
    await output('ip', ['link', 'del', name]);
  }
}
