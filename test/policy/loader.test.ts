/** Policy files on disk: which are read, who may have written them, links and odd files, and the deadline. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { formatProblem } from '../../src/errors.js';
import { type LoadResult, loadPolicyDirectory, loadPolicyPaths } from '../../src/policy/loader.js';
import { readPolicyDirectory, readPolicyPaths } from '../../src/policy/loader-files.js';
import { ROOT } from '../support/paths.js';

const GOLD = 'version: 1\nclasses: { gold: {} }\nassignments: [{ class: gold, match: { any: true } }]\n';
const SILVER = 'version: 1\nclasses: { silver: {} }\nassignments: [{ class: silver, match: { any: true } }]\n';
const ME = process.geteuid?.() ?? 0;
const STRANGER = 65534;
const asRoot = { skip: ME === 0 ? false : 'needs root to give files away' } as const;

let base = '';
let directory = '';

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'virtslad-policy-'));
  directory = join(base, 'policies.d');
  mkdirSync(directory, { mode: 0o755 });
  put('10-gold.yaml', GOLD);
});

afterEach(() => rmSync(base, { recursive: true, force: true }));

function put(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text, { mode: 0o644 });
  return path;
}

/** Names of the files that are read, or the problem lines without the temporary directory. */
function read(): readonly string[] {
  const { files, problems } = readPolicyDirectory(directory, ME);
  const found = problems.length > 0 ? problems.map(formatProblem) : files.map(({ path }) => path);
  return found.map((line) => line.replaceAll(`${base}/`, ''));
}

function linesOf(result: LoadResult): readonly string[] {
  return result.ok ? [] : result.problems.map((problem) => formatProblem(problem).replaceAll(`${base}/`, ''));
}

describe('the policy directory', () => {
  it('is read in lexical order, without dotfiles, backups and other files', () => {
    for (const name of ['90-z.yaml', '20-a.yaml', 'B.yaml', '9.yaml', 'a.yaml']) put(name, GOLD);
    for (const name of [
      '.hidden.yaml',
      '10-gold.yaml~',
      '10-gold.yaml.swp',
      '#10-gold.yaml#',
      '.10-gold.yaml.swp',
      'x.yaml.bak',
      'README',
      '4913',
    ]) {
      put(name, 'not a policy');
    }
    symlinkSync('user@host.1234', join(directory, '.#10-gold.yaml'));
    assert.deepEqual(
      read(),
      ['10-gold', '20-a', '9', '90-z', 'B', 'a'].map((name) => `policies.d/${name}.yaml`),
    );
  });

  it('refuses files that look like policies and would not be read', () => {
    put('20-silver.yml', SILVER);
    put('30.YAML', SILVER);
    const [first, second] = read();
    assert.match(
      first ?? '',
      /^policies\.d\/20-silver\.yml: "20-silver\.yml" would not be read.*\[POLICY_FILE_NAME\]; rename it to "20-silver\.yaml"/,
    );
    assert.match(second ?? '', /30\.YAML.*rename it to "30\.yaml"/);
  });

  it('that is missing, a file or empty is an error', () => {
    rmSync(join(directory, '10-gold.yaml'));
    put('.hidden.yaml', GOLD);
    assert.match(read().join(), /^policies\.d: the policy directory holds no \*\.yaml file \[POLICY_DIRECTORY_EMPTY\]/);
    rmSync(directory, { recursive: true });
    assert.match(read().join(), /^policies\.d: the policy directory does not exist \[POLICY_DIRECTORY_MISSING\]/);
    writeFileSync(directory, GOLD);
    assert.match(read().join(), /is not a directory \[POLICY_DIRECTORY_MISSING\]/);
    rmSync(directory);
    symlinkSync('policies.d', directory);
    assert.match(read().join(), /loop of symbolic links/);
  });

  it('with too many files is refused', () => {
    for (let i = 0; i < 500; i++) put(`x${i}.yaml`, GOLD);
    assert.match(read().join(), /holds 501 files, more than 500 \[POLICY_FILE_COUNT\]/);
  });
});

describe('who may write policy', () => {
  it('no group and no world, at any level', () => {
    const file = join(directory, '10-gold.yaml');
    chmodSync(file, 0o664);
    assert.match(
      read().join(),
      /^policies\.d\/10-gold\.yaml: the file can be written by its group \(mode 0664\).*\[POLICY_PERMISSIONS\]; run: chmod go-w policies/,
    );
    chmodSync(file, 0o646);
    assert.match(read().join(), /the file can be written by everyone/);
    chmodSync(file, 0o644);
    chmodSync(directory, 0o775);
    assert.match(read().join(), /^policies\.d: the directory can be written by its group \(mode 0775\)/);
    chmodSync(directory, 0o755);
    chmodSync(base, 0o777);
    assert.match(read().join(), /: the directory can be written by everyone \(mode 0777\)/);
    chmodSync(base, 0o700);
    assert.deepEqual(read(), ['policies.d/10-gold.yaml']);
  });

  it('a sticky directory may be above, not be the directory itself', () => {
    chmodSync(base, 0o1777);
    assert.deepEqual(read(), ['policies.d/10-gold.yaml']);
    chmodSync(directory, 0o1777);
    assert.match(read().join(), /^policies\.d: the directory can be written by everyone \(mode 1777\)/);
  });

  it('no other user: file, directory, directory above', asRoot, () => {
    const file = join(directory, '10-gold.yaml');
    for (const path of [file, directory, base]) {
      chownSync(path, STRANGER, STRANGER);
      assert.match(
        read().join('\n'),
        /belongs to user 65534, who could set policy; root may \[POLICY_OWNER\]; run: chown root /,
        path,
      );
      chownSync(path, 0, 0);
    }
    assert.deepEqual(read(), ['policies.d/10-gold.yaml']);
  });

  it('the running user, who need not be root', asRoot, () => {
    const file = join(directory, '10-gold.yaml');
    chownSync(file, STRANGER, STRANGER);
    chownSync(directory, STRANGER, STRANGER);
    assert.equal(readPolicyDirectory(directory, STRANGER).files.length, 1);
    chownSync(file, 1, 1);
    const { problems } = readPolicyDirectory(directory, STRANGER);
    assert.match(problems.map(formatProblem).join(), /belongs to user 1, who could set policy; root or user 65534 may/);
  });

  it('one open directory is one problem, not one for each file', () => {
    put('20.yaml', SILVER);
    chmodSync(base, 0o777);
    assert.equal(read().length, 1);
  });
});

describe('links', () => {
  it('are followed when the way and the target are safe', () => {
    const elsewhere = join(base, 'elsewhere');
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, 'silver.yaml'), SILVER);
    symlinkSync('../elsewhere/silver.yaml', join(directory, '20-silver.yaml'));
    assert.deepEqual(read(), ['policies.d/10-gold.yaml', 'policies.d/20-silver.yaml']);
    chmodSync(elsewhere, 0o777);
    assert.match(read().join(), /^elsewhere: the directory can be written by everyone/);
    chmodSync(elsewhere, 0o755);
    chmodSync(join(elsewhere, 'silver.yaml'), 0o666);
    assert.match(read().join(), /^elsewhere\/silver\.yaml: the file can be written by everyone/);
  });

  it('of a stranger are not', asRoot, () => {
    writeFileSync(join(base, 'silver.yaml'), SILVER);
    const link = join(directory, '20-silver.yaml');
    symlinkSync(join(base, 'silver.yaml'), link);
    lchownSync(link, STRANGER, STRANGER);
    assert.match(read().join(), /20-silver\.yaml: the link belongs to user 65534.*chown -h root/);
  });

  it('that lead nowhere are an error with the name of the link', () => {
    symlinkSync('nowhere.yaml', join(directory, '20-silver.yaml'));
    assert.match(read().join(), /^policies\.d\/20-silver\.yaml: the policy does not exist \[POLICY_FILE_UNREADABLE\]/);
  });

  it('may swap a whole directory at once, as ..data does', async () => {
    rmSync(join(directory, '10-gold.yaml'));
    for (const [name, text] of [
      ['..v1', GOLD],
      ['..v2', SILVER],
    ] as const) {
      mkdirSync(join(directory, name));
      writeFileSync(join(directory, name, '10.yaml'), text);
    }
    symlinkSync('..v1', join(directory, '..data'));
    symlinkSync('..data/10.yaml', join(directory, '10.yaml'));
    const before = await loadPolicyDirectory(directory);
    symlinkSync('..v2', join(directory, '..data_tmp'));
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
    const after = await loadPolicyDirectory(directory);
    assert.ok(before.ok && after.ok);
    assert.deepEqual(
      [[...before.generation.classes.keys()], [...after.generation.classes.keys()]],
      [['gold'], ['silver']],
    );
  });

  it('may be the directory itself', () => {
    const link = join(base, 'link');
    symlinkSync('policies.d', link);
    assert.deepEqual(
      readPolicyDirectory(link, ME).files.map(({ path }) => path),
      [join(link, '10-gold.yaml')],
    );
  });

  it('hard ones are files like others', () => {
    linkSync(join(directory, '10-gold.yaml'), join(directory, '20.yaml'));
    assert.equal(read().length, 2);
  });
});

describe('what is no regular file', () => {
  it('is refused at once: a FIFO, a directory, a device, a socket', async () => {
    execFileSync('mkfifo', ['-m', '644', join(directory, '20-fifo.yaml')]);
    mkdirSync(join(directory, '30-directory.yaml'));
    if (ME === 0) symlinkSync('/dev/zero', join(directory, '40-device.yaml'));
    const server = createServer().listen(join(directory, '50-socket.yaml'));
    chmodSync(join(directory, '50-socket.yaml'), 0o755);
    const started = performance.now();
    const lines = read();
    assert.ok(performance.now() - started < 1000);
    await new Promise((resolve) => server.close(resolve));
    assert.equal(lines.length, ME === 0 ? 4 : 3, lines.join('\n'));
    for (const line of lines) assert.match(line, /\[POLICY_(?:FILE_TYPE|PERMISSIONS)\]/);
    assert.match(lines[0] ?? '', /^policies\.d\/20-fifo\.yaml: the policy is not a regular file \[POLICY_FILE_TYPE\]/);
  });

  it('and what is too large or not UTF-8 is refused unparsed', () => {
    put('20.yaml', '#'.repeat(256 * 1024 + 1));
    writeFileSync(join(directory, '30.yaml'), Buffer.from([0x23, 0x0a, 0xff]));
    const [large, latin] = read();
    assert.match(large ?? '', /20\.yaml:1:1: the file has 262145 bytes, more than 256 KiB \[POLICY_FILE_SIZE\]/);
    assert.match(latin ?? '', /30\.yaml:2:1: the file is not UTF-8 text \[POLICY_ENCODING\]/);
  });
});

describe('loading', () => {
  it('gives a generation that is ready to use', async () => {
    const result = await loadPolicyDirectory(directory);
    assert.ok(result.ok);
    assert.deepEqual([...result.generation.classes.keys()], ['gold']);
    assert.equal(result.generation.classes.get('gold')?.source.file, join(directory, '10-gold.yaml'));
    assert.deepEqual(result.warnings, []);
  });

  it('tells of unreadable files and of errors in the others together', async () => {
    put(
      '20.yaml',
      'version: 1\nclasses: { silver: { priority: 2000 } }\nassignments: [{ class: iron, match: { any: true } }]\n',
    );
    chmodSync(put('30.yaml', SILVER), 0o666);
    const lines = linesOf(await loadPolicyDirectory(directory));
    assert.equal(lines.length, 2, lines.join('\n'));
    assert.match(lines.join('\n'), /20\.yaml:2:32: priority "2000" is over 1000.*\n.*30\.yaml: .*POLICY_PERMISSIONS/);
  });

  it('takes files and directories by name, as one set', async () => {
    const extra = join(base, 'extra.txt');
    writeFileSync(extra, SILVER);
    const both = await loadPolicyPaths([directory, extra]);
    assert.ok(both.ok);
    assert.deepEqual([...both.generation.classes.keys()], ['gold', 'silver']);
    const twice = linesOf(await loadPolicyPaths([join(directory, '10-gold.yaml'), directory]));
    assert.match(twice.join(), /POLICY_CLASS_DUPLICATE/);
    assert.match(
      linesOf(await loadPolicyPaths([join(base, 'absent.yaml')])).join(),
      /^absent\.yaml: the policy does not exist \[POLICY_FILE_UNREADABLE\]/,
    );
    assert.equal(readPolicyPaths([extra], ME).files.length, 1);
  });

  it('gives up at its deadline and leaves the event loop alone', async () => {
    // Thousands of schedules on one class: every pair of windows is looked at.
    const schedules = Array.from(
      { length: 3000 },
      (_, i) => `  - {name: s${i}, cron: "0 0 * * *", for: 1h, set: {gold.cpu.limit: 9%}}\n`,
    ).join('');
    put(
      '10-gold.yaml',
      `${GOLD.replace('{ gold: {} }', '{ gold: { cpu: { guarantee: 5% } } }')}schedules:\n${schedules}`,
    );
    let ticks = 0;
    const ticker = setInterval(() => ticks++, 20);
    const lines = linesOf(await loadPolicyDirectory(directory, { deadlineMs: 400 }));
    clearInterval(ticker);
    assert.match(lines.join(), /^policies\.d: reading the policy took longer than 0\.4 s \[POLICY_TIMEOUT\]/);
    assert.ok(ticks >= 8, `${ticks} ticks`);
  });

  it('takes the example policies, alone and all together', async () => {
    const together = await loadPolicyDirectory(join(ROOT, 'policies'));
    assert.deepEqual(linesOf(together), []);
    assert.ok(together.ok && together.warnings.length === 0);
  });
});
