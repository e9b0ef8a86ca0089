/** `io.cost.qos` of the emulated kernel answers as Linux 6.1 did for the same writes, in this order, on a disk that turns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errnoOf } from '../native/cgroup-target.js';
import { CgroupEmulator } from './cgroup-emulator.js';

const AUTO = 'ctrl=auto rpct=0.00 rlat=250000 wpct=0.00 wlat=250000 min=1.00 max=10000.00';

/** What is written → the line that stands then; or how it is refused, and nothing changes. */
const SEEN: readonly [string, string][] = [
  ['254:16 enable=1', `enable=1 ${AUTO}`],
  ['254:16 enable=0', `enable=0 ${AUTO}`],
  ['254:16 enable=2', `enable=1 ${AUTO}`],
  ['254:16 enable=1 bogus=1', 'EINVAL'],
  ['254:16 enable=x', 'EINVAL'],
  ['254:16 enable=', 'EINVAL'],
  ['254:16', 'EINVAL'],
  ['254:16 ', `enable=1 ${AUTO}`],
  ['enable=1', 'EINVAL'],
  ['999:0 enable=1', 'ENODEV'],
  ['254:16enable=1', 'EINVAL'],
  ['254: 16 enable=1', `enable=1 ${AUTO}`],
  ['254:16 enable=-1', 'EINVAL'],
  ['254:16 enable=18446744073709551616', `enable=0 ${AUTO}`],
  ['254:16 ctrl=user', 'enable=0 ctrl=user rpct=0.00 rlat=250000 wpct=0.00 wlat=250000 min=1.00 max=10000.00'],
  ['254:16 rpct=95.5 rlat=2000', 'enable=0 ctrl=user rpct=95.50 rlat=2000 wpct=0.00 wlat=250000 min=1.00 max=10000.00'],
  ['254:16 ctrl=auto enable=0', `enable=0 ${AUTO}`],
  ['254:16 min=200.00 max=100.00', 'EINVAL'],
  ['254:16 min=50 max=150.25', 'enable=0 ctrl=user rpct=0.00 rlat=250000 wpct=0.00 wlat=250000 min=50.00 max=150.25'],
  ['254:16 ctrl=auto', `enable=0 ${AUTO}`],
  ['254:16 rpct=101', 'EINVAL'],
  ['254:16 ctrl=foo', 'EINVAL'],
];

test('io.cost.qos', () => {
  const kernel = new CgroupEmulator([{ root: '/cg', version: 2, controllers: ['io'] }], { disks: ['254:16', '11:0'] });
  assert.equal(kernel.peek('/cg/io.cost.qos'), '');
  const found = SEEN.map(([text]): [string, string] => {
    const before = kernel.peek('/cg/io.cost.qos');
    const errno = errnoOf(() => kernel.poke('/cg/io.cost.qos', text));
    const line = kernel.peek('/cg/io.cost.qos');
    if (errno !== 'ok' && line !== before) return [text, `${errno}, and yet ${line}`];
    return [text, errno === 'ok' ? line.replace(/^254:16 /, '') : errno];
  });
  assert.deepEqual(found, SEEN);
  kernel.poke('/cg/io.cost.qos', '11:0 enable=1');
  assert.match(kernel.peek('/cg/io.cost.qos'), /^11:0 enable=1 .*\n254:16 enable=0 /, 'newer lines come first');
  kernel.make('/cg/below');
  assert.throws(() => kernel.peek('/cg/below/io.cost.qos'), { code: 'ENOENT' });
});
