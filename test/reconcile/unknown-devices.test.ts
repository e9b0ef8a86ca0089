/** A guest of which it is not known yet what one of its disks stands on, as after a restart with a file system that hangs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diskLimit } from '../../src/controls/disk-limit.js';
import type { HostDevice } from '../../src/domains/types.js';
import type { JournalRecord } from '../../src/reconcile/journal-format.js';
import { instanceOf } from '../../src/reconcile/originals.js';
import { planDomain } from '../../src/reconcile/plan.js';
import { classFrom, guestOn, HOST, onDisk, sees } from '../controls/some-guest.js';
import { fakeDisk } from '../fakes/fake-tuning.js';

const NONE = 'rbps=max wbps=max riops=max wiops=max';
const OURS = 'rbps=max wbps=max riops=500 wiops=max';

/** What is put back of limits on two disks of the host, under a class that still asks for them. */
function putBack(hostDevices: Record<string, HostDevice>): string[] {
  const disks = ['vda', 'vdb'].map((target) => fakeDisk({ target }));
  const domain = guestOn('v2-nested', { tuning: { disks }, hostDevices });
  const setting = { original: { text: NONE, from: 'kernel' }, written: [OURS] } as const;
  const record: JournalRecord = {
    uuid: domain.uuid,
    name: domain.name,
    control: diskLimit.id,
    instance: instanceOf(domain),
    settings: { 'io.max/8:0': setting, 'io.max/8:16': setting },
  };
  const { controls } = planDomain({
    domain,
    effective: classFrom('disk: { via: cgroup, limit: { read-iops: 500 } }'),
    host: HOST,
    controls: [diskLimit],
    sight: sees({ 'io.max 8:0': OURS, 'io.max 8:16': OURS }),
    record: () => record,
    baselineUnknown: false,
    mayAdopt: true,
    unsettled: () => false,
    held: () => false,
    occasion: 'policy',
  });
  return controls.flatMap(({ writes }) => writes.map(({ key }) => key));
}

test('keeps its limits on all disks of the host', () => {
  assert.deepEqual(putBack({ vda: onDisk('8:0', 'sda') }), []);
});

test('gives up a disk of the host once it is known that nothing of it is there', () => {
  assert.deepEqual(putBack({ vda: onDisk('8:0', 'sda'), vdb: onDisk('8:0', 'sda') }), ['io.max/8:16']);
});
