/** Every way of saving a policy is seen within 2 s, once, and nothing is told when nothing changed. In real time. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { watchPolicyDirectory } from '../../src/policy/watch.js';

const SEEN_WITHIN_MS = 2_000;

interface Scene {
  readonly base: string;
  readonly directory: string;
  readonly file: string;
  /** Calls of onChange so far. */
  count(): number;
}

async function scene(
  prepare: (base: string, directory: string) => void,
  act: (scene: Scene) => Promise<void>,
): Promise<void> {
  const base = mkdtempSync(join(tmpdir(), 'virtslad-watch-'));
  const directory = join(base, 'policies.d');
  const controller = new AbortController();
  let calls = 0;
  try {
    mkdirSync(directory);
    writeFileSync(join(directory, '10.yaml'), 'one\n');
    prepare(base, directory);
    await watchPolicyDirectory(directory, () => calls++, controller.signal);
    await act({ base, directory, file: join(directory, '10.yaml'), count: () => calls });
  } finally {
    controller.abort();
    rmSync(base, { recursive: true, force: true });
  }
}

async function toldOf({ count }: Scene, change: () => void | Promise<void>): Promise<void> {
  const before = count();
  await change();
  const started = performance.now();
  while (count() === before) {
    assert.ok(performance.now() - started < SEEN_WITHIN_MS, 'not seen within 2 s');
    await sleep(10);
  }
}

/** A data volume as Kubernetes projects it: names → ..data → versions. */
function project(base: string, directory: string): void {
  rmSync(directory, { recursive: true });
  mkdirSync(directory);
  for (const version of ['..v1', '..v2']) {
    mkdirSync(join(directory, version));
    writeFileSync(join(directory, version, '10.yaml'), `${version}\n`);
  }
  symlinkSync('..v1', join(directory, '..data'));
  symlinkSync('..data/10.yaml', join(directory, '10.yaml'));
  mkdirSync(join(base, 'spare'));
}

const WAYS: Readonly<
  Record<
    string,
    { prepare?: (base: string, directory: string) => void; change: (scene: Scene) => void | Promise<void> }
  >
> = {
  'written in place': { change: ({ file }) => writeFileSync(file, 'two\n') },
  'appended to': { change: ({ file }) => appendFileSync(file, 'more\n') },
  'written over in place with as many bytes': {
    change: ({ file }) => {
      const descriptor = openSync(file, 'r+');
      writeSync(descriptor, 'two\n');
      closeSync(descriptor);
    },
  },
  'written slowly': {
    change: async ({ file }) => {
      writeFileSync(file, '');
      await sleep(60);
      writeFileSync(file, 'two\n');
    },
  },
  'renamed over (vim without backup, most tools)': {
    change: ({ directory, file }) => {
      writeFileSync(join(directory, '.10.yaml.tmp'), 'two\n');
      renameSync(join(directory, '.10.yaml.tmp'), file);
    },
  },
  'moved away as a backup and written anew (vim, emacs)': {
    change: ({ file }) => {
      renameSync(file, `${file}~`);
      writeFileSync(file, 'two\n');
      unlinkSync(`${file}~`);
    },
  },
  'copied to a backup and written in place (nano -B)': {
    change: ({ file }) => {
      copyFileSync(file, `${file}~`);
      writeFileSync(file, 'two\n');
    },
  },
  'deleted and created': {
    change: async ({ file }) => {
      unlinkSync(file);
      await sleep(30);
      writeFileSync(file, 'two\n');
    },
  },
  deleted: { change: ({ file }) => unlinkSync(file) },
  'joined by another': { change: ({ directory }) => writeFileSync(join(directory, '20.yaml'), 'x\n') },
  'made safe with chmod': { change: ({ file }) => chmodSync(file, 0o600) },
  'behind a link that is swapped': {
    prepare: (base, directory) => {
      writeFileSync(join(base, 'a'), 'one\n');
      writeFileSync(join(base, 'b'), 'two\n');
      unlinkSync(join(directory, '10.yaml'));
      symlinkSync('../a', join(directory, '10.yaml'));
    },
    change: ({ directory, file }) => {
      symlinkSync('../b', join(directory, '.new'));
      renameSync(join(directory, '.new'), file);
    },
  },
  'behind a link, and written where it leads': {
    prepare: (base, directory) => {
      renameSync(join(directory, '10.yaml'), join(base, 'target'));
      symlinkSync('../target', join(directory, '10.yaml'));
    },
    change: ({ base }) => writeFileSync(join(base, 'target'), 'two\n'),
  },
  'in a projected volume that is swapped': {
    prepare: project,
    change: ({ directory }) => {
      symlinkSync('..v2', join(directory, '..data_tmp'));
      renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
    },
  },
  'in a directory that is a link and is swapped': {
    prepare: (base, directory) => {
      renameSync(directory, join(base, 'v1'));
      mkdirSync(join(base, 'v2'));
      writeFileSync(join(base, 'v2', '10.yaml'), 'two\n');
      symlinkSync('v1', directory);
    },
    change: ({ base, directory }) => {
      symlinkSync('v2', join(base, 'new'));
      renameSync(join(base, 'new'), directory);
    },
  },
};

describe('a policy file', { concurrency: 8 }, () => {
  for (const [name, { prepare, change }] of Object.entries(WAYS)) {
    it(`${name}: is told within 2 s`, () =>
      scene(prepare ?? (() => {}), async (here) => {
        await toldOf(here, () => change(here));
      }));
  }

  it('saved five times in a row is told once', () =>
    scene(
      () => {},
      async (here) => {
        await toldOf(here, async () => {
          for (let i = 0; i < 5; i++) {
            writeFileSync(join(here.directory, `${i}.yaml`), 'x\n');
            await sleep(20);
          }
        });
        await sleep(400);
        assert.equal(here.count(), 1);
      },
    ));

  it('that never rests is told all the same', () =>
    scene(
      () => {},
      async (here) => {
        const until = performance.now() + 2_500;
        while (performance.now() < until) {
          appendFileSync(here.file, 'x');
          await sleep(40);
        }
        assert.ok(here.count() >= 1 && here.count() <= 3, `${here.count()} calls`);
      },
    ));

  it('that only others read, or whose neighbours are no policies, is not told', () =>
    scene(
      () => {},
      async (here) => {
        readFileSync(here.file);
        readdirSync(here.directory);
        writeFileSync(join(here.directory, '.10.yaml.swp'), 'x');
        writeFileSync(join(here.directory, '4913'), '');
        unlinkSync(join(here.directory, '4913'));
        writeFileSync(join(here.directory, '10.yaml~'), 'x');
        await sleep(1_500);
        assert.equal(here.count(), 0);
      },
    ));

  it('in a directory that goes and comes back is told both times, and watched again', () =>
    scene(
      () => {},
      async (here) => {
        await toldOf(here, () => rmSync(here.directory, { recursive: true }));
        await toldOf(here, () => {
          mkdirSync(here.directory);
          writeFileSync(here.file, 'two\n');
        });
        await sleep(1_200);
        await toldOf(here, () => writeFileSync(here.file, 'three\n'));
      },
    ));

  it('is told of no more after the end', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'virtslad-watch-'));
    const controller = new AbortController();
    let calls = 0;
    await watchPolicyDirectory(directory, () => calls++, controller.signal, { pollMs: 20, debounceMs: 10 });
    controller.abort();
    writeFileSync(join(directory, '10.yaml'), 'x\n');
    await sleep(200);
    rmSync(directory, { recursive: true });
    assert.equal(calls, 0);
  });
});
