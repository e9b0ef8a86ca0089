/**
 * `io.cost.qos` of the emulated kernel's root group: block/blk-iocost.c, ioc_qos_write and ioc_qos_prfill, as Linux 6.1
 * answers for a disk that says it turns.
 */
import type { EmulatedFile, EmulatedGroup, IoCostSwitch } from './cgroup-emulator-group.js';
import { kernelError } from './cgroup-emulator-text.js';

/** Hundredths of percents, and microseconds, as the kernel chooses them (AUTOP_HDD). */
const AUTO = { rpct: 0, rlat: 250_000, wpct: 0, wlat: 250_000, min: 100, max: 1_000_000 };
const WORDS = /^(rpct|rlat|wpct|wlat|min|max)=(.*)$/;

function print({ device, enabled, user, amounts }: IoCostSwitch): string {
  const { rpct, rlat, wpct, wlat, min, max } = user ? amounts : AUTO;
  const percent = (hundredths: number): string => (hundredths / 100).toFixed(2);
  const qos = `rpct=${percent(rpct)} rlat=${rlat} wpct=${percent(wpct)} wlat=${wlat} min=${percent(min)} max=${percent(max)}`;
  return `${device} enable=${enabled ? 1 : 0} ctrl=${user ? 'user' : 'auto'} ${qos}\n`;
}

function write(group: EmulatedGroup, text: string): void {
  const match = /^(\d+):\s*(\d+)(?=\s)\s*/.exec(text);
  if (match === null) throw kernelError('EINVAL');
  const device = `${Number(match[1])}:${Number(match[2])}`;
  if (!group.machine.disks.includes(device)) throw kernelError('ENODEV');
  // The line is there from here on, whatever comes of the words.
  const known = group.ioCosts.get(device) ?? { device, enabled: false, user: false, amounts: AUTO };
  group.ioCosts.set(device, known);
  let { enabled, user } = known;
  const amounts = { ...(known.user ? known.amounts : AUTO) };
  for (const word of text
    .slice(match[0].length)
    .split(/[ \t\n]/)
    .filter(Boolean)) {
    const enable = /^enable=(\d+)$/.exec(word)?.[1];
    const control = /^ctrl=(auto|user)$/.exec(word)?.[1];
    if (enable !== undefined) enabled = BigInt(enable) % 2n ** 64n !== 0n;
    else if (control !== undefined) user = control === 'user';
    else {
      const [, key, amount = ''] = WORDS.exec(word) ?? [];
      if (key === undefined) throw kernelError('EINVAL');
      amounts[key as keyof typeof AUTO] = parse(key, amount);
      user = true;
    }
  }
  if (amounts.min > amounts.max) throw kernelError('EINVAL');
  group.ioCosts.set(device, { device, enabled, user, amounts });
}

function parse(key: string, amount: string): number {
  if (key.endsWith('lat')) {
    if (!/^\d+$/.test(amount)) throw kernelError('EINVAL');
    return Number(amount);
  }
  const match = /^(\d+)(?:\.(\d{1,2}))?$/.exec(amount);
  if (match === null) throw kernelError('EINVAL');
  const hundredths = Number(match[1]) * 100 + Number((match[2] ?? '').padEnd(2, '0'));
  if (key.endsWith('pct') && hundredths > 10_000) throw kernelError('EINVAL');
  return key.endsWith('pct') ? hundredths : Math.min(AUTO.max, Math.max(AUTO.min, hundredths));
}

export const IO_COST_QOS: EmulatedFile = {
  // Newer lines come first.
  read: ({ ioCosts }) => [...ioCosts.values()].reverse().map(print).join(''),
  write,
  onlyOnRoot: true,
};
