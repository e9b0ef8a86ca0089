/** A label for a guest that is started, out of the register that the daemon shares; and what its images need. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { VirtsladError } from '../../src/errors.js';
import { categoriesInUse } from '../../src/host/launch/labels-in-use.js';
import type { RelabelOutcome, RelabelRequest } from '../../src/host/selinux/relabel-image.js';
import { readRequest } from '../../src/launch/request.js';
import { giveLabel, type LabelAsk, type LabelParts, readyImages } from '../../src/launch-label.js';
import type { EffectiveClass } from '../../src/policy/types.js';
import { LabelRegister } from '../../src/reconcile/labels/register.js';

const source = { file: '10.yaml', line: 3, column: 3 };
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'virtslad-launch-label-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function ask(values: Readonly<Record<string, unknown>>, uuid = 'u'): LabelAsk {
  const read = readRequest([
    'qemu-system-x86_64',
    '-accel',
    'kvm',
    '-drive',
    'file=/img',
    '-drive',
    'file=/ro,readonly=on',
  ]);
  assert.ok(read.ok);
  const sourced = Object.entries(values).map(([key, value]) => [key, { value, text: String(value), source }] as const);
  const effective: EffectiveClass = {
    name: 'gold',
    priority: 1,
    values: new Map(sourced),
    assignment: source,
    openSchedules: [],
  };
  const launched = { pid: process.pid, startTicks: '1', className: 'gold', groups: [], journal: null };
  return { uuid, name: 'web', effective, request: read.request, launched, workingDirectory: '/' };
}

/** A host with SELinux, whose images wear one label and take another as told. */
function host(
  inUse: readonly (readonly number[])[],
  worn: string,
  taken: (request: RelabelRequest) => RelabelOutcome,
): LabelParts {
  const status = {
    model: 'selinux',
    enforcing: true,
    mls: true,
    booleans: {},
    guestContext: 'system_u:system_r:svirt_t:s0',
    guestTypes: ['svirt_t', 'svirt_tcg_t'],
    imageTypes: ['svirt_image_t', 'virt_content_t'],
    reason: null,
  } as const;
  return {
    status: () => status,
    inUse: () => inUse.map((set) => [...set]),
    files: {
      read: async (paths) => paths.map((path) => ({ path, label: worn, problem: null })),
      relabel: async (request) => taken(request),
      status: () => ({ abandoned: 0, hung: [] }),
      close: async () => undefined,
    },
  };
}
const none = (): RelabelOutcome => assert.fail('nothing is relabelled');
const code = (wanted: string) => (error: unknown) => error instanceof VirtsladError && error.code === wanted;
const WRONG = 'system_u:object_r:svirt_image_t:s0:c8,c9';

describe('the pair', () => {
  test('clashes with no process and no register entry, and is on record', async () => {
    const register = LabelRegister.open({ stateDir: directory });
    await register.assign('other', 'other', [1, 2], []);
    const given = await giveLabel(
      ask({ 'svirt.categories': [1, 2, 3, 4] }),
      register,
      host([[3], [1, 4]], WRONG, none),
    );
    assert.equal(given.label, 'system_u:system_r:svirt_t:s0:c2,c4');
    assert.deepEqual(register.pairOf('u'), [2, 4]);
    assert.equal(register.entry('u')?.by, 'launch');
    const full = giveLabel(ask({ 'svirt.categories': [1, 2, 3, 4] }, 'v'), register, host([[3], [1, 4]], WRONG, none));
    await assert.rejects(full, code('LAUNCH_LABEL'));
    assert.equal(register.entry('v'), null);
  });

  test('is not that of anything that /proc shows, but a process cleared for all leaves some', () => {
    const labels = [
      'u:r:svirt_t:s0:c1,c2',
      'u:r:t:s0-s0:c0.c1023',
      'u:r:t:s0-s0:c5.c7',
      'unconfined',
      'u:r:svirt_t:s0:c1,c2\0',
    ];
    labels.forEach((label, pid) => {
      mkdirSync(join(directory, String(pid), 'attr'), { recursive: true });
      writeFileSync(join(directory, String(pid), 'attr', 'current'), label);
    });
    mkdirSync(join(directory, 'self'));
    assert.deepEqual(categoriesInUse(directory).sort(), [
      [1, 2],
      [5, 6, 7],
    ]);
  });
});

describe('the images', () => {
  const ready = async (
    values: Readonly<Record<string, unknown>>,
    taken: (request: RelabelRequest) => RelabelOutcome,
  ) => {
    const register = LabelRegister.open({ stateDir: directory });
    const asked = ask({ 'svirt.categories': [1, 2], ...values });
    const parts = host([], WRONG, taken);
    return readyImages(asked, await giveLabel(asked, register, parts), register, parts);
  };

  test('are left alone unless the class says what to do with them', async () => {
    assert.deepEqual(await ready({}, none), []);
  });

  test('are reported, or refused where the label is required', async () => {
    const [note = ''] = await ready({ 'svirt.images': 'verify' }, none);
    assert.match(note, /image \/img wears .*c8,c9, .*; run: chcon -t svirt_image_t -l s0:c1,c2 \/img/);
    await assert.rejects(ready({ 'svirt.images': 'verify', 'svirt.required': true }, none), code('LAUNCH_IMAGE'));
  });

  test('get the guest’s categories, between types for images alone', async () => {
    const asked: RelabelRequest[] = [];
    const notes = await ready({ 'svirt.images': 'relabel' }, (request) => {
      asked.push(request);
      return { ok: true, from: WRONG, to: request.label };
    });
    assert.deepEqual(notes, []);
    assert.deepEqual(
      asked.map(({ path, label }) => [path, label]),
      [['/img', 'system_u:object_r:svirt_image_t:s0:c1,c2']],
    );
    assert.ok(asked[0]?.allowedTypes.every((type) => /^(?:svirt_image|virt_(?:content|image|var_lib))_t$/.test(type)));
    const refused = ready({ 'svirt.images': 'relabel' }, () => ({ ok: false, code: 'refused', reason: 'a link' }));
    await assert.rejects(refused, code('LAUNCH_IMAGE'));
    assert.deepEqual(
      await ready({ 'svirt.images': 'relabel' }, () => ({ ok: false, code: 'unsupported', reason: 'nfs' })),
      [],
    );
  });
});
