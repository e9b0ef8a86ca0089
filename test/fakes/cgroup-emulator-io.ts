/** Disk files of the emulated kernel: block/blk-throttle.c, block/blk-iocost.c, block/bfq-cgroup.c. */
import type { EmulatedFile, EmulatedGroup, FileTable, Throttle } from './cgroup-emulator-group.js';
import { IO_COST_QOS } from './cgroup-emulator-iocost.js';
import { kernelError, scanUnsigned, scanWord, strictUnsigned } from './cgroup-emulator-text.js';

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

/** ioc_weight_write, with iocost off for all devices. */
const costWeight: EmulatedFile = {
  read: ({ ioWeight }) => `default ${ioWeight}\n`,
  write(group, text) {
    if (text.includes(':')) {
      deviceIn(group, text);
      throw kernelError('ENOTSUP');
    }
    const weight = scanUnsigned(text.replace(/^default\s*/, ''))?.value;
    if (weight === undefined || weight < 1n || weight > 10_000n) throw kernelError('EINVAL');
    group.ioWeight = weight;
  },
};

/** bfq_io_set_weight_legacy */
function bfqWeight(prefix: string): EmulatedFile {
  return {
    read: ({ ioWeight }) => `${prefix}${ioWeight}\n`,
    write(group, text) {
      const weight = strictUnsigned(prefix === '' ? text : text.trim().replace(/^default\s+/, ''));
      if (weight < 1n || weight > 1000n) throw kernelError('ERANGE');
      group.ioWeight = weight;
    },
  };
}

export const IO_V1: FileTable = {
  'blkio.throttle.read_bps_device': throttleV1(0),
  'blkio.throttle.write_bps_device': throttleV1(1),
  'blkio.throttle.read_iops_device': throttleV1(2),
  'blkio.throttle.write_iops_device': throttleV1(3),
  'blkio.bfq.weight': bfqWeight(''),
};

export const IO_V2: FileTable = {
  'io.max': { read: printLimits, write: setLimits },
  'io.weight': costWeight,
  'io.cost.qos': IO_COST_QOS,
  'io.bfq.weight': bfqWeight('default '),
  'io.stat': { read: () => '', onRoot: true },
};

export function lacksIoFile({ machine }: EmulatedGroup, name: string): boolean {
  return name.includes('bfq') ? !machine.bfq : name === 'io.weight' && machine.bfq;
}
