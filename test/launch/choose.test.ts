/** The class and the label of a guest that is started, and the name of its scope. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SecurityStatus } from '../../src/host/selinux/status.js';
import { chooseClass } from '../../src/launch/choose-class.js';
import { chooseLabel, imageLabel, labelWith } from '../../src/launch/choose-label.js';
import { writableImages, wrongImage } from '../../src/launch/images.js';
import { scopeName } from '../../src/launch/scope-name.js';
import type { EffectiveClass, Generation } from '../../src/policy/types.js';

const source = { file: '10.yaml', line: 3, column: 3 };
const policyClass = (name: string) => ({
  name,
  description: '',
  priority: 100,
  source,
  values: new Map(),
  objectives: [],
});
const generation: Generation = {
  id: 'x',
  files: [],
  classes: new Map([
    ['gold', policyClass('gold')],
    ['silver', policyClass('silver')],
  ]),
  assignments: [{ className: 'silver', match: { name: ['web-*'] }, source }],
  schedules: [],
  maintenance: [],
};
const guest = (name: string) => ({ uuid: 'u', name, title: '', description: '', metadata: [] });

describe('the class', () => {
  const chosen = (name: string, named: string | null) => chooseClass(generation, guest(name), named, 0);
  test('is the one that was named, else the one that is assigned', () => {
    const assigned = chosen('web-1', null);
    assert.ok(assigned.ok && assigned.effective.name === 'silver' && assigned.notes.length === 0);
    const named = chosen('web-1', 'gold');
    assert.ok(named.ok && named.effective.name === 'gold');
    assert.match(named.ok ? (named.notes[0] ?? '') : '', /give this guest class silver; .* held to gold/);
    assert.deepEqual(named.ok && named.effective.assignment, source);
  });
  test('must exist', () => {
    for (const [name, fix] of [
      ['gold ', 'gold?'],
      ['../gold', 'classes: gold'],
      ['__proto__', 'classes: gold, silver'],
      ['x'.repeat(4096), 'classes'],
    ]) {
      const answer = chosen('web-1', name ?? '');
      assert.ok(!answer.ok && answer.problem.code === 'LAUNCH_CLASS' && answer.problem.fix.includes(fix ?? ''), name);
      assert.ok(!answer.ok && answer.problem.message.length < 200);
    }
    assert.ok(!chosen('db\n-1', null).ok);
  });
});

const SELINUX: SecurityStatus = {
  model: 'selinux',
  enforcing: true,
  mls: true,
  booleans: {},
  guestContext: 'system_u:system_r:svirt_t:s0',
  guestTypes: ['svirt_t', 'svirt_tcg_t'],
  imageTypes: ['svirt_image_t', 'virt_content_t'],
  reason: null,
};
const NONE: SecurityStatus = {
  ...SELINUX,
  model: 'none',
  enforcing: null,
  mls: false,
  guestContext: null,
  reason: 'no SELinux here',
};

function effective(values: Readonly<Record<string, unknown>>): EffectiveClass {
  const sourced = Object.entries(values).map(([key, value]) => [key, { value, text: String(value), source }] as const);
  return { name: 'gold', priority: 100, values: new Map(sourced), assignment: source, openSchedules: [] };
}

describe('the label', () => {
  test('is libvirt’s own for this host, with the class’s type and categories', () => {
    const plain = chooseLabel(SELINUX, effective({}), true);
    assert.ok(plain.kind === 'label' && plain.pool === null && !plain.lasting && plain.notes.length === 0);
    assert.equal(labelWith(plain.base, [7, 9]), 'system_u:system_r:svirt_t:s0:c7,c9');
    assert.equal(imageLabel(plain.base, 'svirt_image_t', [7, 9]), 'system_u:object_r:svirt_image_t:s0:c7,c9');
    const tcg = chooseLabel(SELINUX, effective({}), false);
    assert.equal(tcg.kind === 'label' && tcg.base.type, 'svirt_tcg_t');
    const own = chooseLabel(SELINUX, effective({ 'svirt.type': 'my_t', 'svirt.categories': [1, 2, 3] }), false);
    assert.ok(own.kind === 'label' && own.base.type === 'my_t' && own.lasting);
    assert.deepEqual(own.kind === 'label' && own.pool, [1, 2, 3]);
    const permissive = chooseLabel({ ...SELINUX, enforcing: false }, effective({}), true);
    assert.match(permissive.kind === 'label' ? (permissive.notes[0] ?? '') : '', /permissive/);
  });
  test('is none without SELinux, unless the class insists', () => {
    for (const status of [
      NONE,
      { ...NONE, model: 'apparmor' as const },
      { ...SELINUX, mls: false },
      { ...SELINUX, guestContext: 'junk' },
    ]) {
      const free = chooseLabel(status, effective({ 'svirt.required': false }), true);
      assert.match(free.kind === 'none' ? free.note : '', /without a label of its own/);
      const bound = chooseLabel(status, effective({ 'svirt.required': true }), true);
      assert.ok(bound.kind === 'refused' && bound.problem.code === 'LAUNCH_LABEL' && bound.problem.where === source);
    }
  });
});

describe('the images', () => {
  const disk = (path: string | null, readOnly = false) =>
    ({ id: 'd', kind: 'disk', path, network: null, cache: null, aio: null, readOnly }) as const;
  test('are those that it may write, as QEMU finds them', () => {
    const disks = [disk('/a'), disk('b/../c'), disk('/a'), disk('/ro', true), disk(null), disk('/dev/fdset/1')];
    assert.deepEqual(writableImages(disks, '/home'), ['/a', '/home/c']);
  });
  test('wear the guest’s categories, or it is said what mends it', () => {
    const wanted = 'system_u:object_r:svirt_image_t:s0:c1,c2';
    const look = (label: string | null, problem: null | 'missing' | 'unsupported' | 'timeout' = null, path = '/a b') =>
      wrongImage({ path, label, problem }, wanted);
    assert.equal(look('unconfined_u:object_r:svirt_image_t:s0:c1,c2'), null);
    assert.equal(look(null, 'unsupported'), null);
    const wrong = [
      'system_u:object_r:svirt_image_t:s0:c1,c3',
      'system_u:object_r:svirt_image_t:s0',
      'u:r:etc_t:s0:c1,c2',
      'junk',
    ];
    for (const label of wrong) assert.match(look(label)?.fix ?? '', /chcon -t svirt_image_t -l s0:c1,c2 '\/a b';/);
    assert.match(look(null, 'timeout')?.message ?? '', /did not answer/);
    assert.match(look('u:r:t:s0', null, "/it's")?.fix ?? '', /'\/it'\\''s'/);
  });
});

describe('the name of the scope', () => {
  const uuid = '11111111-2222-4333-8444-555555555555';
  test('is one that systemd takes, whatever the guest is called', () => {
    const names = ['web', '../../x', 'a\nb', '%n\\x2d', 'x'.repeat(4096), '☃', '', '.'];
    const scopes = names.map((name) => scopeName(name, uuid));
    for (const scope of scopes) {
      assert.match(scope, /^machine-virtslad\\x2d(?:[A-Za-z0-9_]|\\x[\da-f]{2})*\\x2d[\da-fx\\]+\.scope$/);
      assert.ok(scope.length <= 255, `${scope.length}`);
    }
    assert.equal(scopes[0], 'machine-virtslad\\x2dweb\\x2d11111111\\x2d2222\\x2d4333\\x2d8444\\x2d555555555555.scope');
    assert.notEqual(scopeName('web', uuid), scopeName('web', uuid.replace('1', '2')));
  });
});
