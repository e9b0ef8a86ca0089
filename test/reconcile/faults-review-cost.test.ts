/** What must not grow: descriptors, records, looks, texts that travel with a guest. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { GroupWatcher } from '../../src/host/cgroup/watch.js';
import { ORIGINALS, parseDomainXml } from '../../src/host/libvirt/domain-xml.js';
import type { JournalRecord } from '../../src/reconcile/journal-format.js';
import { formatOriginalsXml, parseOriginalsXml } from '../../src/reconcile/originals-xml.js';
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

test('what the kernel counts in a group is no reason to look at the guest', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'virtslad-watch-'));
  const files = ['memory.events', 'memory.events.local', 'cgroup.events', 'memory.high'];
  for (const file of files) writeFileSync(join(directory, file), '0');
  const seen = new Set<string>();
  const watcher = new GroupWatcher(({ name }) => seen.add(name));
  watcher.add(directory);
  // Plain files stand in for the kernel's: it announces a counter as soon as anybody has it open, as the daemon has.
  for (const file of files) writeFileSync(join(directory, file), '1');
  await new Promise((resolve) => setTimeout(resolve, 100));
  watcher.close();
  rmSync(directory, { recursive: true });
  assert.deepEqual([...seen], ['memory.high']);
});

test('thousands of events about one guest are a few questions', async () => {
  const at = new EmulatedBench('v2-nested');
  const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }] });
  at.setClass('disk: { limit: { iops: 900 } }');
  await at.boot();
  await at.settle();
  const before = at.libvirt.calls.length;
  for (let event = 0; event < 3_000; event++) {
    at.libvirt.emit({ kind: 'tunable', uuid, parameters: { 'cputune.cpu_shares': String(event) } });
    at.libvirt.emit({ kind: 'device', uuid });
  }
  await at.cycles(2);
  assert.ok(at.libvirt.calls.length - before < 40, `${at.libvirt.calls.length - before} calls`);
  await at.remove();
});

/** As libvirt gives metadata back: our prefix on every element, one a line, indented. */
function withinDomain(originals: string): string {
  const ours = originals
    .replace(/<(\/?)(originals|setting|written)/g, `<$1${ORIGINALS.prefix}:$2`)
    .replace('originals>', `originals xmlns:${ORIGINALS.prefix}="${ORIGINALS.namespace}">`)
    .replace(/></g, '>\n      <');
  const theirs =
    '<nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1"><nova:flavor name="m1"/></nova:instance>';
  return `<domain type="kvm" id="1"><name>big</name><uuid>6be05a0d-4457-4be3-a7f7-b43c015f4841</uuid><metadata>${theirs}${ours}</metadata></domain>`;
}

test('what travels with a guest of hundreds of vCPUs does not cost it its metadata', () => {
  const vcpus = 512;
  const record = (control: string, file: string, original: (vcpu: number) => string, ours: string): JournalRecord => ({
    uuid: 'u',
    name: 'big',
    control,
    instance: '1:1:1',
    settings: Object.fromEntries(
      Array.from({ length: vcpus }, (_, vcpu) => [
        `vcpu${vcpu}/${file}`,
        { original: { text: original(vcpu), from: 'kernel' as const }, written: [ours] },
      ]),
    ),
  });
  const records = [
    record('cpu.limit', 'cpu.max', () => 'max 100000', '50000 100000'),
    record('cpu.burst', 'cpu.max.burst', () => '0', '20000'),
    // Each pinned to a CPU of its own before.
    record('cpu.pin', 'cpuset.cpus', String, '0-255'),
  ];
  const { metadata, metadataProblem, originalsXml } = parseDomainXml(withinDomain(formatOriginalsXml(records) ?? ''));
  assert.equal(metadataProblem, null);
  assert.equal(metadata.length, 1);
  const travelled = parseOriginalsXml(originalsXml);
  assert.equal(Object.keys(travelled['cpu.limit'] ?? {}).length, vcpus);
  assert.equal(travelled['cpu.pin']?.['vcpu511/cpuset.cpus']?.original.text, '511');
});
