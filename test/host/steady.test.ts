/** With every control in force and nothing happening, nothing is written and libvirt is asked little. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { controllerGroup } from '../support/controller-group.js';
import type { Guest } from '../support/guest.js';
import { groupDirectories } from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';
import { exposeDevice } from '../support/lab-namespace.js';
import { countCalls, SETTERS } from '../support/libvirt-calls.js';
import { LabNetwork } from '../support/network.js';
import { kernelTuning, libvirtView } from '../support/tuning-view.js';
import { sleep } from '../support/wait.js';
import { findWholeDisks } from '../support/whole-disks.js';
import { WriteWatch } from '../support/write-watch.js';

const lab = await Lab.open();
after(() => lab.close());

const POLICY = `version: 1
classes:
  all:
    cpu: { limit: 30%, weight: 50, burst: 10ms, pin: "0" }
    memory: { limit: 512MiB, swap: 0 }
    disk: { limit: { iops: 50, burst: { iops: 100, for: 3s } } }
    network: { limit: { in: 4Mbit/s } }
  device:
    cpu: { limit: 30% }
    disk: { via: cgroup, limit: { read: 1MiB/s } }
assignments:
  - { class: device, match: { name: "device-*" } }
  - { class: all, match: { any: true } }
`;
const SECONDS = 15;
/** A list and a look at all guests' states in each of the cycles of 5 s, a description, the round of the disks. */
const CALLS_MAX = 60;

const network = await LabNetwork.open(lab);
for (const { name } of await findWholeDisks(lab.directory)) await exposeDevice(lab.directory, `/dev/${name}`, '0600');
const guests = [
  await lab.startGuest({ name: 'first', burn: false, interfaces: network === null ? [] : [{ source: 'ethernet' }] }),
  await lab.startGuest({ name: 'second', burn: false, vcpus: 2 }),
  await lab.startGuest({ name: 'device', burn: false, bootDisk: { cache: 'none' } }),
] as const;
const daemon = await lab.startDaemon({ policies: { '10-steady.yaml': POLICY } });
await daemon.waitUntilCompliant(guests);

/** Every directory of its groups, in all trees. */
function directories(guest: Guest): readonly string[] {
  const others = (['memory', 'blkio', 'cpuset'] as const).flatMap((controller) => {
    const { directory } = controllerGroup(guest.pid, controller);
    const own = directory.replace(/\/emulator$/, '');
    const below = readdirSync(own, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [own, ...below.map(({ name }) => join(own, name))];
  });
  return [...new Set([...groupDirectories(guest.groups), ...others])];
}

test(`at rest nothing is written for ${SECONDS} s, and libvirt is told nothing`, async (t) => {
  // One cycle for what is still under way.
  await sleep(6);
  const tuning = () => Promise.all(guests.map(async (guest) => [await kernelTuning(guest), await libvirtView(guest)]));
  const written = () => daemon.metric('virtsla_writes_total');
  const before = { tuning: await tuning(), written: await written() };
  const watch = await WriteWatch.start(guests.flatMap(directories));
  t.after(() => watch.stop());
  const calls = await countCalls(lab);
  await sleep(SECONDS);
  const [writes, made] = [[...watch.writes], calls?.() ?? null];

  t.diagnostic(`${writes.length} writes to the files of ${guests.flatMap(directories).length} groups in ${SECONDS} s`);
  assert.deepEqual(writes, []);
  assert.equal(await written(), before.written);
  assert.deepEqual(await tuning(), before.tuning);
  if (made === null) return t.diagnostic('libvirt’s calls not counted: there is no virt-admin');
  t.diagnostic(`${made.length} calls to libvirt`);
  assert.ok(made.length > 0, 'not even the list of guests was asked for');
  assert.ok(made.length <= CALLS_MAX, `${made.length} calls: ${made.join(' ')}`);
  assert.deepEqual(
    made.map((procedure) => SETTERS[procedure]).filter((name) => name !== undefined),
    [],
  );
});
