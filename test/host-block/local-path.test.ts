import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { chargesWriteback, fileSystemFacts } from '../../src/host/block/file-system.js';
import { followLocalPath } from '../../src/host/block/local-path.js';
import { MountTable } from '../../src/host/block/mount-table.js';
import { type Entry, FakeFiles } from './fake-files.js';

const DIRECTORY: Entry = { kind: 'directory' };
const FILE: Entry = { kind: 'file' };
const link = (target: string): Entry => ({ kind: 'link', target });

/** `[mount point, type]` in the order of mounting, each on the one it lies in. */
function mountinfo(...mounts: readonly (readonly [string, string])[]): string {
  return mounts
    .map(([mountPoint, type], n) => {
      const below = mounts.slice(0, n).findLastIndex(([at]) => at === mountPoint || isBelow(mountPoint, at));
      const device = type === 'ext4' || type === 'xfs' ? `254:${n}` : `0:${n + 20}`;
      const escaped = mountPoint.replaceAll(' ', '\\040');
      return `${n + 100} ${below < 0 ? 1 : below + 100} ${device} / ${escaped} rw shared:${n} - ${type} source${n} rw`;
    })
    .join('\n');
}

function isBelow(path: string, directory: string): boolean {
  return path.startsWith(directory === '/' ? '/' : `${directory}/`);
}

async function follow(path: string, table: string, files: FakeFiles): Promise<string> {
  const answer = await followLocalPath(path, new MountTable(table), files);
  return answer.ok ? `${answer.value.path} on ${answer.value.mount.type}` : answer.reason;
}

describe('the mount table', () => {
  const at = (table: string, path: string) => new MountTable(table).lastOn(path.split('/').slice(1))?.id ?? null;

  it('knows the mount of a path, with white space and with mounts one on the other', () => {
    const table = mountinfo(['/', 'ext4'], ['/srv/a b', 'xfs'], ['/srv/a b', 'nfs4'], ['/srv', 'tmpfs']);
    assert.equal(at(table, '/etc/passwd'), 100);
    assert.equal(at(mountinfo(['/', 'ext4'], ['/srv/a b', 'xfs'], ['/srv/a b', 'nfs4']), '/srv/a b/c'), 102);
    assert.equal(at(mountinfo(['/', 'ext4'], ['/srv', 'xfs']), '/srvx'), 100);
    assert.equal(at(table, '/srv/a b/c'), 103, 'what was mounted later on /srv hides the others');
  });

  it('reads what the kernel writes, and nothing else', () => {
    const table = new MountTable(
      [
        '22 27 0:21 / /proc rw,relatime - proc proc rw',
        '27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard',
        '36 27 98:0 /mnt1 /mnt2 rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue',
        '40 27 0:50 / /mnt/\\134a\\011b\\043 rw - fuse.sshfs user@host:/dir\\040x rw',
        'garbage',
        '41 27 x:y / /m rw - ext4 a rw',
        '42 27 8:0 / m rw - ext4 a rw',
        '43 27 8:0 / /m rw',
        '',
      ].join('\n'),
    );
    assert.deepEqual(table.byId(36), {
      ...{ id: 36, parentId: 27, device: '98:0', mountPoint: '/mnt2', type: 'ext3', source: '/dev/root' },
    });
    assert.deepEqual(table.byId(40)?.mountPoint, '/mnt/\\a\tb#');
    assert.deepEqual(table.byId(40)?.source, 'user@host:/dir x');
    for (const id of [41, 42, 43]) assert.equal(table.byId(id), null);
  });

  it('ends on circles, on nothing and on a root that is its own parent', () => {
    assert.equal(at('', '/a'), null);
    assert.equal(at('5 5 8:1 / / rw - ext4 a rw', '/a'), 5);
    assert.equal(at('5 5 8:1 / / rw - ext4 a rw\n6 5 8:2 / / rw - ext4 b rw', '/a'), 6);
    const circle =
      '1 0 8:1 / / rw - ext4 a rw\n2 3 8:1 / /a rw - ext4 a rw\n3 2 8:1 / /a rw - ext4 a rw\n2 1 8:1 / /a rw - x a rw';
    assert.equal(typeof at(circle, '/a/b'), 'number');
  });
});

describe('a path on local file systems', () => {
  it('is followed through links, absolute and relative, and dots', async () => {
    const files = new FakeFiles({
      '/images': link('srv/./x/../guests/'),
      '/srv': DIRECTORY,
      '/srv/x': DIRECTORY,
      '/srv/guests': link('/data//vm'),
      '/data': DIRECTORY,
      '/data/vm': DIRECTORY,
      '/data/vm/a.img': link('../b.img'),
      '/data/b.img': FILE,
    });
    assert.equal(await follow('/images/a.img', mountinfo(['/', 'ext4']), files), '/data/b.img on ext4');
    assert.equal(
      await follow('//images/.//a.img', mountinfo(['/', 'ext4'], ['/data', 'xfs']), files),
      '/data/b.img on xfs',
    );
    assert.equal(await follow('/../..', mountinfo(['/', 'ext4']), files), '/ on ext4');
  });

  it('ends at a file that is missing, or is no directory', async () => {
    const files = new FakeFiles({ '/a': FILE, '/b': link('b'), '/c': link('/nowhere') });
    const table = mountinfo(['/', 'ext4']);
    for (const path of ['/x', '/a/b', '/a/..', '/c']) {
      assert.equal(await follow(path, table, files), 'no such file', path);
    }
    assert.equal(await follow('/b', table, files), 'too many symbolic links');
    assert.equal(await follow('/a', '', files), 'the mounts of the host cannot be read');
  });

  it('is a path, and no deeper than images lie', async () => {
    const files = new FakeFiles({});
    const table = mountinfo(['/', 'ext4']);
    for (const path of ['', 'a.img', 'nbd:localhost', '/a\0b', `/${'a'.repeat(5000)}`]) {
      assert.equal(await follow(path, table, files), 'not a path');
    }
    assert.deepEqual(files.looks, []);
    assert.equal(await follow('/..'.repeat(1000), table, files), 'too many components');
  });
});

describe('a path that leads elsewhere', () => {
  it('is not touched', async () => {
    for (const type of [
      'nfs',
      'nfs4',
      'cifs',
      'smb3',
      'ceph',
      'fuse',
      'fuse.sshfs',
      'fuseblk',
      'glusterfs',
      '9p',
      'lustre',
    ]) {
      const files = new FakeFiles({});
      const table = mountinfo(['/', 'ext4'], ['/mnt/images', type]);
      assert.equal(await follow('/mnt/images/a.img', table, files), `image on ${type}: no host block device`);
      assert.deepEqual(files.looks, []);
    }
  });

  it('is not touched where a link or a mount below leads there', async () => {
    const files = new FakeFiles({ '/images': link('/mnt/../mnt/nfs/vm'), '/mnt': DIRECTORY, '/data': DIRECTORY });
    const table = mountinfo(
      ['/', 'ext4'],
      ['/mnt/nfs', 'nfs4'],
      ['/net', 'autofs'],
      ['/gfs', 'gfs2'],
      ['/odd', 'newfs'],
    );
    assert.equal(await follow('/images/a.img', table, files), 'image on nfs4: no host block device');
    assert.deepEqual(files.looks, ['/images', '/images', '/mnt']);
    files.looks.length = 0;
    assert.equal(await follow('/net/server/a.img', table, files), 'image on autofs: not mounted');
    assert.equal(await follow('/gfs/a.img', table, files), 'image on gfs2: a cluster file system is not looked into');
    assert.equal(await follow('/odd/a.img', table, files), 'image on newfs: no host block device is known behind it');
    assert.deepEqual(files.looks, []);
  });

  it('is looked at on a local file system that is mounted below a network file system', async () => {
    const files = new FakeFiles({ '/srv/images/a.img': FILE });
    const table = mountinfo(['/', 'nfs4'], ['/srv/images', 'ext4']);
    assert.equal(await follow('/srv/images/a.img', table, files), '/srv/images/a.img on ext4');
    assert.equal(await follow('/srv/images/../b.img', table, files), 'image on nfs4: no host block device');
    assert.deepEqual(files.looks, ['/srv/images/a.img']);
  });

  it('may be a file that is itself mounted there', async () => {
    const files = new FakeFiles({ '/disk': FILE });
    assert.equal(await follow('/disk', mountinfo(['/', 'overlay'], ['/disk', 'ext4']), files), '/disk on ext4');
    assert.equal(await follow('/disk/x', mountinfo(['/', 'overlay'], ['/disk', 'ext4']), files), 'no such file');
  });
});

describe('any path in any tree', () => {
  const name = fc.constantFrom('a', 'b', 'c');
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => `/${parts.join('/')}`);
  const target = fc
    .tuple(fc.boolean(), fc.array(fc.constantFrom('a', 'b', 'c', '..', '.'), { minLength: 1, maxLength: 4 }))
    .map(([absolute, parts]) => (absolute ? '/' : '') + parts.join('/'));
  const entry = fc.oneof(
    { weight: 4, arbitrary: fc.constant(DIRECTORY) },
    { weight: 1, arbitrary: fc.constant(FILE) },
    { weight: 2, arbitrary: target.map(link) },
  );
  const trees = fc.array(fc.tuple(path, entry), { maxLength: 25 }).map(asTree);
  const types = fc.constantFrom('ext4', 'nfs4', 'tmpfs', 'fuse.x', 'autofs');

  it('is followed as the kernel would, touching nothing that may hang', async () => {
    await fc.assert(
      fc.asyncProperty(trees, fc.array(fc.tuple(path, types), { maxLength: 4 }), path, async (tree, wanted, asked) => {
        const unique = new Map(wanted.filter(([at]) => tree.get(at)?.kind === 'directory'));
        // Outer ones first, so that none hides another: then the longest prefix is the mount.
        const mounts = [...unique].sort(([a], [b]) => a.length - b.length);
        const all: [string, string][] = [['/', 'ext4'], ...mounts];
        const typeAt = (at: string) => all.findLast(([point]) => point === at || isBelow(at, point))?.[1] ?? '';
        const files = new FakeFiles(tree);
        const answer = await followLocalPath(asked, new MountTable(mountinfo(...all)), files);
        for (const looked of files.looks) {
          assert.ok(['ext4', 'tmpfs'].includes(typeAt(looked)), `${looked} is on ${typeAt(looked)}`);
        }
        const real = resolve(tree, asked);
        if (answer.ok) assert.equal(answer.value.path, real);
        else if (mounts.every(([, type]) => type === 'ext4' || type === 'tmpfs')) assert.equal(real, null);
      }),
      { numRuns: 3000 },
    );
  });
});

/** Every entry lies in a directory; what is below a file or link is left out. */
function asTree(entries: readonly (readonly [string, Entry])[]): Map<string, Entry> {
  const tree = new Map<string, Entry>();
  for (const [at, entry] of entries) {
    const parents = at.split('/').map((_, n, parts) => parts.slice(0, n).join('/'));
    const above = parents.filter((parent) => parent !== '');
    if (tree.has(at) || above.some((parent) => (tree.get(parent)?.kind ?? 'directory') !== 'directory')) continue;
    for (const parent of above) tree.set(parent, DIRECTORY);
    tree.set(at, entry);
  }
  return tree;
}

/** realpath, the plain way; null when there is no such file or no end. */
function resolve(tree: ReadonlyMap<string, Entry>, path: string, depth = 0): string | null {
  if (depth > 40) return null;
  let at = '';
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  for (const [n, part] of parts.entries()) {
    if (part === '..') {
      at = at.slice(0, Math.max(0, at.lastIndexOf('/')));
      continue;
    }
    const entry = tree.get(`${at}/${part}`);
    if (entry === undefined) return null;
    if (entry.kind === 'link') {
      const rest = parts.slice(n + 1).join('/');
      const start = entry.target?.startsWith('/') ? '' : at;
      return resolve(tree, `${start}/${entry.target}/${rest}`, depth + 1);
    }
    if (entry.kind === 'file' && n < parts.length - 1) return null;
    at = `${at}/${part}`;
  }
  return at === '' ? '/' : at;
}

describe('what a file system is', () => {
  it('is told by its type and device', () => {
    assert.deepEqual(fileSystemFacts('xfs', '253:3'), { local: true, noDevice: null });
    assert.deepEqual(fileSystemFacts('newfs', '253:3'), { local: true, noDevice: null });
    assert.deepEqual(fileSystemFacts('btrfs', '0:45'), { local: true, noDevice: null });
    assert.deepEqual(fileSystemFacts('zfs', '0:45'), {
      local: true,
      noDevice: 'image on zfs: its block devices cannot be told',
    });
    assert.equal(fileSystemFacts('tmpfs', '0:45').noDevice, 'image on tmpfs: no host block device');
    assert.equal(fileSystemFacts('fuseblk', '8:1').local, false);
    assert.equal(fileSystemFacts('fused', '0:45').local, false);
  });

  it('says whether buffered writes count', () => {
    for (const type of ['ext2', 'ext3', 'ext4', 'btrfs', 'f2fs', 'xfs', null])
      assert.equal(chargesWriteback(type), true);
    for (const type of ['zfs', 'nfs4', 'overlay', 'ntfs3', '']) assert.equal(chargesWriteback(type), false);
  });
});
