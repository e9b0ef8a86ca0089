/** What must not grow: descriptors, records, looks, texts that travel with a guest. */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { EmulatedBench } from './emulated-bench.js';

/** Descriptors of the loopback device's counters, which stands in for a tap. */
function openCounters(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return /\/net\/lo\/statistics\//.test(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      return false;
    }
  }).length;
}

test('an interface that is unplugged leaves no descriptors open', async () => {
  const at = new EmulatedBench('v2-nested');
  const mac = '52:54:00:00:00:01';
  const uuid = at.addGuest({ name: 'db-1', interfaces: [{ mac, type: 'bridge', device: 'lo' }] });
  at.setClass('cpu: { limit: 50% }');
  await at.boot();
  await at.cycles(1);
  assert.equal(openCounters(), 6);
  at.libvirt.detachInterface(uuid, mac);
  await at.cycles(2);
  assert.equal(openCounters(), 0);
  at.stopGuest(uuid);
  await at.cycles(1);
  assert.equal(openCounters(), 0);
  await at.remove();
});
