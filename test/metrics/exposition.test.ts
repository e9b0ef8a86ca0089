import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter, Gauge, Registry } from 'prom-client';
import { domainFamilies } from '../../src/metrics/domain-families.js';
import { LabelCache, writeDomainFamilies } from '../../src/metrics/exposition.js';
import { DOMAIN_LABELS, type DomainFamily } from '../../src/metrics/family.js';
import type { Snapshot } from '../../src/snapshot/types.js';
import { printable } from '../../src/text/printable.js';
import { fixtureDomain, fixtureSnapshot, HOSTILE_NAME } from '../fixtures/snapshot.js';
import { fixtureDisk, fixtureInterface, fixtureMemory, fixturePressure } from '../signals/fixture-signals.js';
import { FIXTURE_CONTROLS } from './fixture-metrics.js';

const FAMILIES = domainFamilies(FIXTURE_CONTROLS);

function write(snapshot: Snapshot, families: readonly DomainFamily[] = FAMILIES, cap = 1e6): string {
  return writeDomainFamilies(families, snapshot, new LabelCache(), cap).body.toString();
}

async function byPromClient(snapshot: Snapshot, families: readonly DomainFamily[]): Promise<string> {
  const registry = new Registry();
  for (const { name, help, type, labels, samples } of families) {
    const configuration = { name, help, labelNames: [...DOMAIN_LABELS, ...labels], registers: [registry] };
    const metric = type === 'counter' ? new Counter(configuration) : new Gauge(configuration);
    for (const domain of snapshot.domains) {
      for (const sample of samples(domain, snapshot)) {
        if (sample.value === null) continue;
        const all: Record<string, string> = {
          domain: printable(domain.name),
          uuid: domain.uuid,
          class: domain.className ?? '',
        };
        labels.forEach((label, index) => {
          all[label] = sample.labels[index] ?? '';
        });
        if (metric instanceof Gauge) metric.set(all, sample.value);
        else metric.inc(all, sample.value);
      }
    }
  }
  return registry.metrics();
}

const NAMES = [
  'plain',
  'quote"quote',
  'back\\slash\\',
  'line\nbreak\r',
  'größe ☃ 日本 😀',
  'x'.repeat(300),
  '\u0000\u001b[2J\u009b\u202e',
  '{}=,',
  '',
  'trailing\\"',
  HOSTILE_NAME,
];

test('the writer and prom-client give the same bytes for the same guests', async () => {
  const guests = NAMES.map((name, index) =>
    fixtureDomain(100 + index, { name, className: index % 2 === 0 ? 'gold' : null }),
  );
  const fixture = fixtureSnapshot();
  const signals = fixtureDomain(99, {
    memory: fixtureMemory({ reclaimedBytes: null }),
    disks: [fixtureDisk('vda', 0), fixtureDisk('vdb', 0, { limited: true }), fixtureDisk('sda', 0, { limited: null })],
    interfaces: [fixtureInterface('vnet0'), fixtureInterface('vnet1')],
    pressure: fixturePressure({ io: null }),
  });
  const snapshot = fixtureSnapshot({ domains: [...fixture.domains, ...guests, signals] });
  // prom-client makes histograms of single observations alone.
  const families = FAMILIES.filter(({ type }) => type !== 'histogram');
  assert.equal(write(snapshot, families), await byPromClient(snapshot, families));
});

test('a histogram of QEMU’s has cumulative buckets, a sum and a count for reads and for writes', () => {
  const family = FAMILIES.filter(({ name }) => name === 'virtsla_disk_request_duration_seconds');
  const histogram = {
    boundsSeconds: [0.0001, 60],
    round: null,
    read: { bins: [3, 0, 1], seconds: 61.5 },
    write: { bins: [0, 2, 0], seconds: 0.25 },
  };
  const disks = [fixtureDisk('vd"a', 0, { histogram }), fixtureDisk('vdb', 0)];
  const text = write(fixtureSnapshot({ domains: [fixtureDomain(1, { name: 'a', disks })] }), family);
  const labels = text.match(/domain="a",uuid="[^"]+",class=""/)?.[0] ?? '';
  const series = (part: string, request: string, le?: string) =>
    `virtsla_disk_request_duration_seconds_${part}{${labels},disk="vd\\"a",request="${request}"${le === undefined ? '' : `,le="${le}"`}}`;
  assert.deepEqual(text.trimEnd().split('\n').slice(1), [
    '# TYPE virtsla_disk_request_duration_seconds histogram',
    `${series('bucket', 'read', '0.0001')} 3`,
    `${series('bucket', 'read', '60')} 3`,
    `${series('bucket', 'read', '+Inf')} 4`,
    `${series('sum', 'read')} 61.5`,
    `${series('count', 'read')} 4`,
    `${series('bucket', 'write', '0.0001')} 0`,
    `${series('bucket', 'write', '60')} 2`,
    `${series('bucket', 'write', '+Inf')} 2`,
    `${series('sum', 'write')} 0.25`,
    `${series('count', 'write')} 2`,
  ]);
});

test('every form of number is written as prom-client writes it', async () => {
  const values = [0, -0, 1, -1.5, 0.1 + 0.2, 1e21, 1e-7, 2 ** 53, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const family: DomainFamily = {
    name: 'virtsla_number',
    help: 'Numbers; \\ and a line\nbreak',
    type: 'gauge',
    labels: ['nth'],
    samples: () => values.map((value, index) => ({ labels: [String(index)], value })),
  };
  const snapshot = fixtureSnapshot({ domains: [fixtureDomain(1, {})] });
  assert.equal(write(snapshot, [family]), await byPromClient(snapshot, [family]));
});

test('a hostile name forges no line and no label', () => {
  const lines = write(fixtureSnapshot()).split('\n');
  assert.equal(
    lines.some((line) => line.startsWith('forged') || line.startsWith('# HELP forged')),
    false,
  );
  const legal =
    /^virtsla_[a-z_]+\{domain="(?:[^"\\]|\\\\|\\"|\\n)*",uuid="[-0-9a-f]+",class="[a-z]*"(?:,[a-z]+="[-.a-z]*")*\} \S+$/;
  for (const line of lines) if (line !== '' && !line.startsWith('# ')) assert.match(line, legal);
});

test('series of a guest go with the guest and follow a new name and a new class', () => {
  const cache = new LabelCache();
  const show = (...domains: Snapshot['domains']): string =>
    writeDomainFamilies(FAMILIES, fixtureSnapshot({ domains }), cache, 1e6).body.toString();
  assert.match(show(fixtureDomain(1, { name: 'a' })), /virtsla_domain_managed\{domain="a",[^}]*,class=""\} 0/);
  assert.match(show(fixtureDomain(1, { name: 'b' })), /virtsla_domain_managed\{domain="b",[^}]*,class=""\} 0/);
  assert.match(show(fixtureDomain(1, { name: 'b', className: 'gold' })), /domain="b",[^}]*,class="gold"\} 1/);
  assert.doesNotMatch(show(), /domain="/);
});

test('the cap leaves whole guests out and counts their series', () => {
  const domains = Array.from({ length: 10 }, (_, index) => fixtureDomain(index, {}));
  const snapshot = fixtureSnapshot({ domains });
  const all = writeDomainFamilies(FAMILIES, snapshot, new LabelCache(), 1e6);
  const perGuest = all.series / 10;
  assert.equal(all.dropped, 0);
  const capped = writeDomainFamilies(FAMILIES, snapshot, new LabelCache(), perGuest * 4 + 1);
  assert.equal(capped.series, perGuest * 4);
  assert.equal(capped.dropped, perGuest * 6);
  assert.equal(new Set(capped.body.toString().match(/uuid="[^"]+"/g)).size, 4);
  assert.equal(
    writeDomainFamilies(FAMILIES, snapshot, new LabelCache(), perGuest * 10).dropped,
    0,
    'exactly at the cap',
  );
});

test('labels of disks and interfaces are escaped like names, and forgotten when a page does not need them', () => {
  const cache = new LabelCache();
  const show = (target: string): string => {
    const guest = fixtureDomain(1, { disks: [fixtureDisk(target, 0)], interfaces: [fixtureInterface('vnet0')] });
    return writeDomainFamilies(FAMILIES, fixtureSnapshot({ domains: [guest] }), cache, 1e6).body.toString();
  };
  assert.match(
    show('vd"a\n\u001b'),
    /virtsla_disk_read_bytes_total\{[^}]*,disk="vd\\"a\\\\u000a\\\\u001b"\} 983040000\n/,
  );
  const again = show('vdb');
  assert.match(again, /,disk="vdb"\} /);
  assert.doesNotMatch(again, /vd\\"a/);
  assert.match(again, /virtsla_network_receive_bytes_total\{[^}]*,interface="vnet0"\} 1500000000\n/);
});
