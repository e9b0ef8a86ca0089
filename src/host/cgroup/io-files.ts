/**
 * Disk values. `io.max` is one value a device: v2's line of it, or v1's four blkio.throttle files. `io.weight` is its
 * default for all devices. v1 keeps operations in 32 bits and wraps what is more (5000000000 becomes 705032704, and
 * 4294967296 stops the disk), so such values are never written.
 * Sources: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/blkio-controller.rst, block/blk-throttle.c.
 */
import { type Codec, type GroupFile, isCount, type Names, statistic } from './codec.js';
import { ioCostSwitch } from './io-cost-file.js';

/** In the order in which v2 prints them. */
const KEYS = [
  { key: 'rbps', v1: 'blkio.throttle.read_bps_device', most: 2n ** 64n - 2n },
  { key: 'wbps', v1: 'blkio.throttle.write_bps_device', most: 2n ** 64n - 2n },
  { key: 'riops', v1: 'blkio.throttle.read_iops_device', most: 2n ** 32n - 2n },
  { key: 'wiops', v1: 'blkio.throttle.write_iops_device', most: 2n ** 32n - 2n },
] as const;

const FILES_V1 = KEYS.map(({ v1 }) => v1);

const ioMax: Codec = {
  kernelFiles: (version) => (version === 1 ? FILES_V1 : ['io.max']),
  read(at) {
    return (
      amountsAt(at)
        ?.map((amount, index) => `${KEYS[index]?.key}=${amount}`)
        .join(' ') ?? null
    );
  },
  steps(at, text) {
    const wanted = wantedAmounts(text);
    if (wanted === null || !/^\d+:\d+$/.test(at.device ?? '')) return null;
    if (at.version === 2) return [{ file: 'io.max', text: `${at.device} ${text}` }];
    const standing = amountsAt(at);
    return KEYS.flatMap(({ v1 }, index) => {
      const amount = wanted[index] ?? 'max';
      if (standing?.[index] === amount) return [];
      return [{ file: v1, text: `${at.device} ${amount === 'max' ? 0 : amount}` }];
    });
  },
};

/** The four amounts of the device, `max` where no line says otherwise; null when one cannot be read. */
function amountsAt({ group, version, device }: GroupFile): string[] | null {
  if (device === undefined) return null;
  if (version === 2) {
    const text = group.read('io.max');
    if (text === null) return null;
    const words = new Map((lineOf(device, text) ?? '').split(' ').map((word) => word.split('=') as [string, string]));
    return KEYS.map(({ key }) => words.get(key) ?? 'max');
  }
  const amounts: string[] = [];
  for (const file of FILES_V1) {
    const text = group.read(file);
    if (text === null) return null;
    amounts.push(lineOf(device, text) ?? 'max');
  }
  return amounts;
}

/** What follows the device on its line. */
function lineOf(device: string, text: string): string | null {
  for (const line of text.split('\n')) if (line.startsWith(`${device} `)) return line.slice(device.length + 1);
  return null;
}

function wantedAmounts(text: string): string[] | null {
  const words = text.split(' ');
  const amounts = KEYS.map(({ key, most }, index) => {
    const amount = words[index]?.startsWith(`${key}=`) === true ? (words[index]?.slice(key.length + 1) ?? '') : '';
    return amount === 'max' || (/^[1-9]\d{0,19}$/.test(amount) && BigInt(amount) <= most) ? amount : null;
  });
  return words.length === KEYS.length && amounts.every((amount) => amount !== null) ? amounts : null;
}

/** v2 prints `default 100` above a line for each device that differs; BFQ before Linux 5.4, and v1, the number alone. */
function weight(names: Names): Codec {
  const nameOn = (version: 1 | 2): string | null => (version === 1 ? names.v1 : names.v2);
  return {
    kernelFiles: (version) => [nameOn(version)].filter((name) => name !== null),
    read({ group, version }) {
      const name = nameOn(version);
      return (name === null ? null : /^(?:default )?(\d+)$/m.exec(group.read(name) ?? '')?.[1]) ?? null;
    },
    steps({ version }, text) {
      const file = nameOn(version);
      return file === null || !isCount(text) ? null : [{ file, text }];
    },
  };
}

export const IO_FILES: Readonly<Record<string, Codec>> = {
  'io.max': ioMax,
  'io.weight': weight({ v1: 'blkio.weight', v2: 'io.weight' }),
  'io.cost.qos': ioCostSwitch,
  'io.bfq.weight': weight({ v1: 'blkio.bfq.weight', v2: 'io.bfq.weight' }),
  'io.pressure': statistic({ v1: null, v2: 'io.pressure' }),
};
