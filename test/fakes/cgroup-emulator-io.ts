/** Disk files of the emulated kernel: block/blk-throttle.c, block/blk-iocost.c, block/bfq-cgroup.c. */
import type { EmulatedFile, EmulatedGroup, FileTable, Throttle } from './cgroup-emulator-group.js';
import { IO_COST_QOS } from './cgroup-emulator-iocost.js';
import { kernelError, memorySize, scanUnsigned, scanWord, strictUnsigned, strip } from './cgroup-emulator-text.js';

const [U32, U64] = [2n ** 32n, 2n ** 64n];
const NONE: Throttle['amounts'] = [U64 - 1n, U64 - 1n, U32 - 1n, U32 - 1n];
const KEYS = ['rbps', 'wbps', 'riops', 'wiops'];

/** blkg_conf_prep: the device, and what follows it. Newer devices are listed first. */
function deviceIn(group: EmulatedGroup, text: string): { readonly throttle: Throttle; readonly rest: string } {
  const match = /^\s*(\d+):\s*(\d+)(?=\s)\s*/.exec(text);
  if (match === null) throw kernelError('EINVAL');
  const device = `${Number(match[1])}:${Number(match[2])}`;
  if (!group.machine.disks.includes(device)) throw kernelError('ENODEV');
  let throttle = group.throttles.find((one) => one.device === device);
  if (throttle === undefined) {
    throttle = { device, amounts: [...NONE] };
    group.throttles.unshift(throttle);
  }
  return { throttle, rest: text.slice(match[0].length) };
}

/** tg_set_limit */
function setLimits(group: EmulatedGroup, text: string): void {
  const { throttle, rest } = deviceIn(group, text);
  const amounts: Throttle['amounts'] = [...throttle.amounts];
  for (let left = rest; ; ) {
    const next = scanWord(left, 26);
    if (next === null) break;
    left = next.rest;
    const [key = '', amount] = next.word.split(/=(.*)/s);
    const value = amount === 'max' ? U64 - 1n : scanUnsigned(amount ?? '')?.value;
    if (value === undefined) throw kernelError('EINVAL');
    if (value === 0n) throw kernelError('ERANGE');
    const index = KEYS.indexOf(key);
    if (index < 0 || value === 1n) throw kernelError('EINVAL');
    amounts[index] = index > 1 && value >= U32 ? U32 - 1n : value;
  }
  throttle.amounts.splice(0, 4, ...amounts);
}

function printLimits({ throttles }: EmulatedGroup): string {
  return throttles
    .filter(({ amounts }) => amounts.some((amount, index) => amount !== NONE[index]))
    .map(({ device, amounts }) => {
      const words = amounts.map((amount, index) => `${KEYS[index]}=${amount === NONE[index] ? 'max' : amount}`);
      return `${device} ${words.join(' ')}\n`;
    })
    .join('');
}

/** tg_set_conf: 0 is no limit; operations are cut to 32 bits, wherever that leads. */
function throttleV1(index: 0 | 1 | 2 | 3): EmulatedFile {
  return {
    read: ({ throttles }) =>
      throttles
        .filter(({ amounts }) => amounts[index] !== NONE[index])
        .map(({ device, amounts }) => `${device} ${amounts[index]}\n`)
        .join(''),
    write(group, text) {
      const { throttle, rest } = deviceIn(group, text);
      const value = scanUnsigned(rest)?.value;
      if (value === undefined) throw kernelError('EINVAL');
      const amount = value === 0n ? U64 - 1n : value;
      throttle.amounts[index] = index > 1 ? amount % U32 : amount;
    },
  };
}

/** ioc_weight_write; devices have weights of their own where somebody has written to io.cost.qos about them. */
const costWeight: EmulatedFile = {
  read: ({ ioWeight, deviceWeights }) =>
    `default ${ioWeight}\n${[...deviceWeights]
      .reverse()
      .map(([device, weight]) => `${device} ${weight}\n`)
      .join('')}`,
  write(group, text) {
    if (!text.includes(':')) {
      group.ioWeight = costWeightIn(text.replace(/^default\s*/, ''));
      return;
    }
    const { throttle, rest } = deviceIn(group, text);
    if (!rootOf(group).ioCosts.has(throttle.device)) throw kernelError('ENOTSUP');
    if (rest.startsWith('default')) group.deviceWeights.delete(throttle.device);
    else group.deviceWeights.set(throttle.device, costWeightIn(rest));
  },
};

function costWeightIn(text: string): bigint {
  const weight = scanUnsigned(text)?.value;
  if (weight === undefined || weight < 1n || weight > 10_000n) throw kernelError('EINVAL');
  return weight;
}

function rootOf(group: EmulatedGroup): EmulatedGroup {
  return group.parent === null ? group : rootOf(group.parent);
}

function setBfqWeight(group: EmulatedGroup, weight: bigint): void {
  if (weight < 1n || weight > 1000n) throw kernelError('ERANGE');
  group.bfqWeight = weight;
}

/** bfq_io_set_weight_legacy */
const bfqWeightV1: EmulatedFile = {
  read: ({ bfqWeight }) => `${bfqWeight}\n`,
  write: (group, text) => setBfqWeight(group, strictUnsigned(text)),
};

/** bfq_io_set_weight, with BFQ the scheduler of no disk. */
const bfqWeightV2: EmulatedFile = {
  read: ({ bfqWeight }) => `default ${bfqWeight}\n`,
  write(group, text) {
    const own = strip(text);
    const plain = /^(?:0[xX][0-9a-fA-F]+|\d*)$/.test(own) ? memorySize(own) : null;
    const weight = plain ?? scanUnsigned(/^default\s*(.*)$/s.exec(own)?.[1] ?? '')?.value;
    if (weight === undefined) {
      deviceIn(group, own);
      throw kernelError('ENOTSUP');
    }
    setBfqWeight(group, weight);
  },
};

export const IO_V1: FileTable = {
  'blkio.throttle.read_bps_device': throttleV1(0),
  'blkio.throttle.write_bps_device': throttleV1(1),
  'blkio.throttle.read_iops_device': throttleV1(2),
  'blkio.throttle.write_iops_device': throttleV1(3),
  'blkio.bfq.weight': bfqWeightV1,
};

export const IO_V2: FileTable = {
  'io.max': { read: printLimits, write: setLimits },
  'io.weight': costWeight,
  'io.cost.qos': IO_COST_QOS,
  'io.bfq.weight': bfqWeightV2,
  // A device that the group has to do with, and what it did there: nothing.
  'io.stat': { read: ({ throttles }) => throttles.map(({ device }) => `${device} \n`).join(''), onRoot: true },
};

export function lacksIoFile({ machine }: EmulatedGroup, name: string): boolean {
  return name.includes('bfq') && !machine.bfq;
}
