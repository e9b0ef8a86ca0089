/**
 * The rules of the source tree that the compiler and the linter cannot say: who may import whom, where the host may be
 * touched, what is never written. `biome.json` forbids packages and Node modules by folder; that it does is tested too.
 */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, posix } from 'node:path';
import { describe, test } from 'node:test';
import { ERROR_CATALOGUE } from '../src/errors.js';
import { execute } from './support/command.js';
import { ROOT } from './support/paths.js';

const SRC = join(ROOT, 'src');
const MAX_LINES = 300;

interface SourceFile {
  /** Relative to src/, `policy/parse.ts`. */
  readonly path: string;
  readonly text: string;
  /** Modules imported for their values, relative ones as paths below src/ without suffix. */
  readonly imports: readonly string[];
}

const FILES: readonly SourceFile[] = readdirSync(SRC, { recursive: true })
  .map(String)
  .filter((path) => path.endsWith('.ts'))
  .sort()
  .map((path) => {
    const text = readFileSync(join(SRC, path), 'utf8');
    return { path, text, imports: valueImports(path, text) };
  });

/** A type-only import leaves no trace at run time, so it binds no layer to another. */
export function valueImports(path: string, text: string): string[] {
  const statements = text.matchAll(/^(?:import|export)\s+(?!type\b)(?:[^'"();]*?\sfrom\s+)?['"]([^'"]+)['"]/gm);
  const dynamic = text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g);
  return [...statements, ...dynamic].map(([, specifier = '']) =>
    specifier.startsWith('.') ? posix.join(dirname(path), specifier).replace(/\.js$/, '') : specifier,
  );
}

/** Files and folders in which data goes in and data comes out. */
const PURE = [
  'errors.ts',
  'text/',
  'domains/types.ts',
  'units.ts',
  'config/suggest.ts',
  'policy/',
  'controls/',
  'signals/',
  'slo/',
  'protect/',
  'admission/',
  'svirt/',
  'launch/',
  'domains/bare-command',
  'domains/bare-devices',
  'domains/bare-facts',
  'domains/bare-options',
  'domains/bare-origin',
  'domains/bare-sizes',
  'reconcile/plan',
  'reconcile/host-controls/plan-host',
  'reconcile/host-controls/plan-io-cost',
  'reconcile/host-controls/slice-plan',
  'reconcile/order',
  'reconcile/originals',
  'reconcile/journal-format',
  'reconcile/labels/register-format',
];
const IMPURE_IN_PURE = /^policy\/(?:load|watch)/;
const PURE_PACKAGES = ['zod', 'yaml', 'cron', 'fast-xml-parser', 'node:crypto', 'node:path', 'node:util'];

function isPure(path: string): boolean {
  return PURE.some((prefix) => path.startsWith(prefix)) && !IMPURE_IN_PURE.test(path);
}

/** Folder → what it may import besides itself, the pure modules and packages. */
const ONLY_SNAPSHOTS = {
  'metrics/': ['snapshot/', 'log'],
  'http/': ['snapshot/', 'metrics/', 'log'],
  'rules/': ['snapshot/', 'metrics/'],
  'cli/render/': ['snapshot/'],
};

/** Modules that may write files: the daemon's state and socket, and the kernel's files in one place. */
const MAY_WRITE_FILES = ['host/', 'http/socket.ts', 'reconcile/history.ts', 'reconcile/journal.ts'];
/** A launch moves and labels itself, before it is QEMU, and nobody else: how that is told in the code. */
const OF_ITSELF: Readonly<Record<string, RegExp>> = {
  'host/launch/own-groups.ts': /writeSync\(fd, '0'\)/,
  'host/launch/become.ts': /'\/proc\/thread-self\/attr\/exec'/,
};
const MAY_EXIT = ['main.ts', 'host/libc.ts'];
const WRITERS =
  /\b(?:writeFile|appendFile|writeSync|writeFileSync|appendFileSync|createWriteStream|truncate\w*|rename\w*|symlink\w*|mkdir\w*)\b/;

function breaches(probe: (file: SourceFile) => string | null): string[] {
  return FILES.flatMap((file) => {
    const reason = probe(file);
    return reason === null ? [] : [`src/${file.path}: ${reason}`];
  });
}

describe('layers', () => {
  test('the import statements are found', () => {
    assert.deepEqual(
      valueImports(
        'policy/parse.ts',
        "import type { A } from './a.js';\nimport {\n  b,\n} from '../units.js';\nimport 'zod';\nexport { c } from './c.js';\n" +
          "export type { D } from './d.js';\nconst e = await import('../host/e.js');\n",
      ),
      ['units', 'zod', 'policy/c', 'host/e'],
    );
    assert.ok(FILES.length > 20);
  });

  test('pure modules import only pure modules', () => {
    const wrong = breaches(({ path, imports }) => {
      if (!isPure(path)) return null;
      const foreign = imports.filter((name) => !PURE_PACKAGES.includes(name) && !isPure(`${name}.ts`));
      return foreign.length === 0 ? null : `pure, yet imports ${foreign.join(', ')}`;
    });
    assert.deepEqual(wrong, []);
  });

  test('pure modules read no clock, no randomness and no process', () => {
    const wrong = breaches(({ path, text }) => {
      if (!isPure(path)) return null;
      const match =
        /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bperformance\.now\(|\bprocess\.|\bsetTimeout\(/.exec(
          withoutComments(text),
        );
      return match === null ? null : `uses ${match[0]}`;
    });
    assert.deepEqual(wrong, []);
  });

  test('metrics, pages, rules and rendering see only snapshots', () => {
    const wrong = breaches(({ path, imports }) => {
      const layer = Object.entries(ONLY_SNAPSHOTS).find(([folder]) => path.startsWith(folder));
      if (layer === undefined) return null;
      const [folder, allowed] = layer;
      const foreign = imports.filter(
        (name) =>
          /^[a-z-]+(?:\/|$)/.test(name) &&
          FILES.some((file) => file.path === `${name}.ts`) &&
          !name.startsWith(folder) &&
          !isPure(`${name}.ts`) &&
          !allowed.some((prefix) => name === prefix || name.startsWith(prefix)),
      );
      return foreign.length === 0 ? null : `imports ${foreign.join(', ')}`;
    });
    assert.deepEqual(wrong, []);
  });

  test('no module imports itself through others', () => {
    const graph = new Map(FILES.map(({ path, imports }) => [path.replace(/\.ts$/, ''), imports]));
    assert.deepEqual(findCycles(graph), []);
    assert.deepEqual(
      findCycles(
        new Map([
          ['a', ['b']],
          ['b', ['c']],
          ['c', ['b']],
        ]),
      ),
      ['b → c → b'],
    );
  });
});

describe('the host', () => {
  test('only the host folder and the records of the daemon write files', () => {
    const wrong = breaches(({ path, text }) => {
      if (MAY_WRITE_FILES.some((prefix) => path.startsWith(prefix))) return null;
      const imported = /import \{([^}]*)\} from 'node:fs(?:\/promises)?'/.exec(text)?.[1] ?? '';
      const match = WRITERS.exec(imported);
      return match === null ? null : `imports ${match[0]} from node:fs`;
    });
    assert.deepEqual(wrong, []);
  });

  test('what is never written is named nowhere near a write', () => {
    const wrong = breaches(({ path, text }) => {
      const code = withoutComments(text);
      if (/cgroup\.kill|cgroup\.subtree_control|ksm\/run/.test(code)) return 'names a file that is never touched';
      const writes = WRITERS.test(code) || /O_WRONLY|O_RDWR/.test(code);
      if (OF_ITSELF[path] !== undefined) return OF_ITSELF[path].test(code) ? null : 'names more than itself';
      if (writes && /cgroup\.(?:procs|threads)|\/attr\/|attr\/(?:current|exec)/.test(code)) {
        return 'writes files and names cgroup.procs or a process label';
      }
      return path === 'host/cgroup/write.ts' && /'tasks'/.test(code) ? 'names the tasks file' : null;
    });
    assert.deepEqual(wrong, []);
  });

  test('the kernel writer never creates and never truncates', () => {
    const { text } = FILES.find(({ path }) => path === 'host/cgroup/write.ts') ?? assert.fail('no kernel writer');
    assert.doesNotMatch(withoutComments(text), /O_CREAT|O_TRUNC|writeFile|'w\+?'/);
  });

  test('only the entry point and the last resort beside it end the process', () => {
    const wrong = breaches(({ path, text }) =>
      !MAY_EXIT.includes(path) && /\bprocess\.(?:exit|kill|abort)\(/.test(withoutComments(text))
        ? 'ends a process'
        : null,
    );
    assert.deepEqual(wrong, []);
  });
});

describe('the shape of files', () => {
  test(`no module is longer than ${MAX_LINES} lines`, () => {
    const wrong = breaches(({ text }) => {
      const lines = text.trimEnd().split('\n').length;
      return lines > MAX_LINES ? `${lines} lines` : null;
    });
    assert.deepEqual(wrong, []);
  });

  test('every module opens with what it takes and gives', () => {
    const wrong = breaches(({ text }) => (/^(?:#!.*\n)?\/\*\*/.test(text) ? null : 'no opening comment'));
    assert.deepEqual(wrong, []);
  });

  test('names are kebab-case and say what a file is about', () => {
    const wrong = breaches(({ path }) => {
      const name = basename(path, '.ts');
      if (!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(name)) return 'not kebab-case';
      return /^(?:utils?|helpers?|managers?|common|misc|lib)$/.test(name) ? 'a grab bag' : null;
    });
    assert.deepEqual(wrong, []);
  });
});

describe('the error catalogue', () => {
  const codes = Object.keys(ERROR_CATALOGUE);
  const meanings: string[] = Object.values(ERROR_CATALOGUE);

  test('codes are well-formed and listed once', () => {
    const { text } = FILES.find(({ path }) => path === 'errors.ts') ?? assert.fail('no errors.ts');
    const written = [...text.matchAll(/^ {2}([A-Z][A-Z0-9_]*):/gm)].map(([, code]) => code);
    assert.deepEqual(written, [...new Set(written)]);
    assert.deepEqual(written, codes);
  });

  test('every code has a meaning of its own, a sentence', () => {
    assert.deepEqual(
      meanings.filter((meaning) => !/^[A-Z`].*\.$/s.test(meaning)),
      [],
    );
    assert.equal(new Set(meanings).size, meanings.length);
  });

  test('every code is used', () => {
    const code = FILES.filter(({ path }) => path !== 'errors.ts').map(({ text }) => text);
    const unused = codes.filter((name) => !code.some((text) => new RegExp(`['"\`]${name}['"\`]`).test(text)));
    assert.deepEqual(
      unused.filter((name) => name !== 'INTERNAL'),
      [],
    );
  });
});

describe('the linter', () => {
  const breach = { koffi: "import koffi from 'koffi';\n\nkoffi.load('x');\n" };
  const planted: Readonly<Record<string, string>> = {
    'src/host/libvirt/planted.ts': breach.koffi,
    'src/http/planted.ts': "import { Registry } from 'prom-client';\n\nnew Registry();\n",
    'src/host/planted.ts': "import { spawn } from 'node:child_process';\n\nspawn('x');\n",
    'src/reconcile/sneaky.ts': "import { writeCpuFile } from '../host/cgroup/write.js';\n\nwriteCpuFile();\n",
    'src/policy/planted.ts': "import { readFileSync } from 'node:fs';\n\nreadFileSync('x');\n",
    'src/controls/planted.ts': "import { connect } from 'node:net';\n\nconnect(1);\n",
    'src/reconcile/plan-planted.ts': "import { readFileSync } from 'node:fs';\n\nreadFileSync('x');\n",
    'src/units.ts': 'export const home = process.env.HOME;\n',
  };
  const allowed: Readonly<Record<string, string>> = {
    'src/host/ffi.ts': breach.koffi,
    'src/metrics/registry.ts': planted['src/http/planted.ts'] ?? '',
    'src/reconcile/apply.ts': planted['src/reconcile/sneaky.ts'] ?? '',
  };

  test('refuses each planted breach, and lets the owners through', async () => {
    const refused = await lint({ ...planted, ...allowed });
    assert.deepEqual([...refused].sort(), Object.keys(planted).sort());
  });
});

/** Lints these files under the rules of the repository; gives those that a rule about imports or process refuses. */
async function lint(files: Readonly<Record<string, string>>): Promise<ReadonlySet<string>> {
  const directory = mkdtempSync(join(tmpdir(), 'virtslad-lint-'));
  try {
    copyFileSync(join(ROOT, 'biome.json'), join(directory, 'biome.json'));
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), text);
    }
    const biome = join(ROOT, 'node_modules', '@biomejs', 'biome', 'bin', 'biome');
    const { stdout, stderr } = await execute(process.execPath, [biome, 'lint', '--colors=off', '.'], {
      cwd: directory,
    });
    const rule = /(src\/[\w./-]+):\d+:\d+ lint\/\w+\/(?:noRestrictedImports|noProcessGlobal|noProcessEnv)/g;
    return new Set([...(stdout + stderr).matchAll(rule)].map(([, path = '']) => path));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
}

/** Each cycle once, as `a → b → a`. */
function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (node: string, path: readonly string[]): void => {
    const start = path.indexOf(node);
    if (start >= 0) cycles.push([...path.slice(start), node].join(' → '));
    if (start >= 0 || done.has(node)) return;
    for (const next of graph.get(node) ?? []) if (graph.has(next)) visit(next, [...path, node]);
    done.add(node);
  };
  for (const node of graph.keys()) visit(node, []);
  return cycles;
}
