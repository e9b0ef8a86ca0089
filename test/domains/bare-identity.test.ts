/** Who is who among QEMU processes without libvirt: uuids claimed, derived and disputed, and processes that are part of another. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BareCandidate, type BareIdentity, derivedUuid, identify } from '../../src/domains/bare-identity.js';

const A = '3f6fb426-5ee0-4a59-a5b8-34f545c6bab0';
const B = '11111111-5ee0-4a59-a5b8-34f545c6bab0';

interface Change extends Partial<Omit<BareCandidate, 'command' | 'startTicks'>> {
  readonly startTicks?: number;
  readonly uuid?: string | null;
  readonly name?: string | null;
  readonly daemonizes?: boolean;
  readonly digest?: string;
}

function candidate(pid: number, change: Change = {}): BareCandidate {
  const { uuid = null, name = null, daemonizes = false, digest = `command of ${pid}` } = change;
  return {
    pid,
    startTicks: BigInt(change.startTicks ?? 1000 + pid),
    parentPid: change.parentPid ?? 1,
    threadCount: change.threadCount ?? 5,
    command: { uuid, name, daemonizes, digest },
  };
}

function who(candidates: readonly BareCandidate[], libvirtGuests = new Map<string, number | null>()): BareIdentity[] {
  return identify(candidates, { bootId: 'boot', libvirtGuests });
}

function summary(identities: readonly BareIdentity[]): (readonly [number, string, boolean])[] {
  return identities.map(({ pid, uuid, obstacle }) => [
    pid,
    [A, B].includes(uuid) ? uuid : 'derived',
    obstacle === null,
  ]);
}

describe('identity', () => {
  test('a valid claim that nobody else makes is the uuid, else it is derived', () => {
    const [named, nameless] = who([candidate(7, { uuid: A, name: 'db' }), candidate(8)]);
    assert.deepEqual([named?.uuid, named?.name, named?.obstacle], [A, 'db', null]);
    assert.deepEqual([nameless?.uuid, nameless?.name], [derivedUuid('boot', 8, 1008n), 'qemu-8']);
  });

  test('a derived uuid is that of this instance: pid, start and boot', () => {
    const uuid = derivedUuid('boot', 8, 1008n);
    assert.match(uuid, /^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
    assert.equal(uuid, derivedUuid('boot', 8, 1008n));
    const others = [derivedUuid('boot', 8, 1009n), derivedUuid('boot', 81, 8n), derivedUuid('another', 8, 1008n)];
    assert.equal(new Set([uuid, ...others]).size, 4);
  });

  test('two with one uuid are both left alone, the first keeps it', () => {
    const rivals = [candidate(9, { uuid: A }), candidate(7, { uuid: A }), candidate(8, { uuid: B })];
    const identities = who(rivals);
    assert.deepEqual(summary(identities), [
      [7, A, false],
      [8, B, true],
      [9, 'derived', false],
    ]);
    const obstacle = `processes 7 and 9 say that they are guest ${A}: observed only`;
    assert.deepEqual([identities[0]?.obstacle, identities[2]?.obstacle], [obstacle, obstacle]);
  });

  test('many with one uuid are counted, not all named', () => {
    const [first] = who(Array.from({ length: 40 }, (_, index) => candidate(100 + index, { uuid: A })));
    assert.equal(
      first?.obstacle,
      `processes 100, 101, 102, 103, 104 and 35 more say that they are guest ${A}: observed only`,
    );
  });

  test('a uuid of libvirt’s is libvirt’s, whether that guest runs or not', () => {
    const known = new Map([
      [A, 50],
      [B, null],
    ]);
    const identities = who([candidate(7, { uuid: A }), candidate(8, { uuid: B })], known);
    assert.deepEqual(summary(identities), [
      [7, 'derived', false],
      [8, 'derived', false],
    ]);
    assert.match(identities[0]?.obstacle ?? '', /^process 7 says it is guest .*, which is libvirt's process 50/);
    assert.match(identities[1]?.obstacle ?? '', /a guest of libvirt: observed only/);
  });

  test('nobody can take the derived uuid of another', () => {
    const victim = candidate(7);
    const thief = candidate(8, { uuid: derivedUuid('boot', 7, 1007n) });
    const identities = who([victim, thief]);
    assert.equal(identities[0]?.uuid, derivedUuid('boot', 7, 1007n));
    assert.notEqual(identities[1]?.uuid, identities[0]?.uuid);
    assert.match(identities[1]?.obstacle ?? '', /processes 7 and 8/);
    assert.equal(identities[0]?.obstacle, null, 'a claim alone does not stop another guest');
  });
});

describe('processes that are part of a guest', () => {
  const same = { digest: 'same', uuid: A };

  test('a child before it becomes another program, and the helper of -async-teardown', () => {
    const identities = who([candidate(7, same), candidate(20, { ...same, parentPid: 7, threadCount: 1 })]);
    assert.deepEqual(summary(identities), [[7, A, true]]);
    assert.deepEqual(identities[0]?.offshoots, [20]);
  });

  test('whoever called -daemonize and waits, in every phase', () => {
    const daemon = { ...same, daemonizes: true };
    const launcher = candidate(7, { ...daemon, threadCount: 2 });
    const between = candidate(8, { ...daemon, parentPid: 7, threadCount: 1 });
    const young = candidate(9, { ...daemon, parentPid: 8, threadCount: 1, startTicks: 1008 });
    const grown = candidate(9, { ...daemon, parentPid: 1, threadCount: 5, startTicks: 1008 });
    const helper = candidate(10, { ...daemon, parentPid: 9, threadCount: 1 });
    const phases: readonly (readonly BareCandidate[])[] = [
      [launcher],
      [launcher, between],
      [launcher, between, young],
      [launcher, young],
      [launcher, grown],
      [grown, helper],
      [launcher, grown, helper],
    ];
    for (const [index, candidates] of phases.entries()) {
      assert.deepEqual(summary(who(candidates)), index < 4 ? [] : [[9, A, true]]);
    }
    const [guest] = who([launcher, grown, helper]);
    assert.deepEqual(guest?.offshoots, [7, 10]);
  });

  test('two guests that were started alike are two', () => {
    const daemon = { ...same, daemonizes: true };
    assert.deepEqual(summary(who([candidate(7, daemon), candidate(9, daemon)])), [
      [7, A, false],
      [9, 'derived', false],
    ]);
    assert.deepEqual(summary(who([candidate(7, { digest: 'same' }), candidate(9, { digest: 'same' })])), [
      [7, 'derived', true],
      [9, 'derived', true],
    ]);
  });
});
