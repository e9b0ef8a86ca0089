// The static lane: what can be said of the sources without running them. Each check is one test with its output.
import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ROOT } from '../bootstrap.mjs';
import { build } from '../build.mjs';
import { run, SetupError } from '../child.mjs';
import { generate } from '../generate.mjs';
import { checkRepositoryText } from './repository-text.mjs';

const BIOME = join(ROOT, 'node_modules', '@biomejs', 'biome', 'bin', 'biome');

/** name → function that gives an empty string, or what is wrong. Order matters: later checks use the build. */
export const STATIC_CHECKS = {
  'sources compile (tsc, strict)': compile,
  'format, lint and import rules (biome)': lint,
  'generated files are current': generated,
  'repository text': repositoryText,
};

async function compile(signal) {
  try {
    await build({ tests: true, signal });
    return '';
  } catch (error) {
    if (error instanceof SetupError) return error.message;
    throw error;
  }
}

async function lint(signal) {
  const args = ['ci', '--error-on-warnings', '--colors=off', '--max-diagnostics=20', '.'];
  const biome = await run(process.execPath, [BIOME, ...args], { cwd: ROOT, signal });
  return biome.code === 0 ? '' : biome.output;
}

async function generated(signal) {
  const stale = await generate({ check: true, signal });
  return stale.length === 0 ? '' : `stale, run \`npm run generate\`:\n${stale.map((path) => `  ${path}`).join('\n')}`;
}

async function repositoryText(signal) {
  return checkRepositoryText(ROOT, await trackedFiles(signal)).join('\n');
}

async function trackedFiles(signal) {
  const git = await run('git', ['-c', 'safe.directory=*', 'ls-files', '-z'], { cwd: ROOT, signal });
  if (git.code === 0) return git.output.split('\0').filter((path) => path !== '');
  return walk(ROOT).map((path) => relative(ROOT, path));
}

/** For a tree that is no git clone (an unpacked archive). */
function walk(directory) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (['.git', 'node_modules', 'dist', 'build'].includes(entry.name)) return [];
    return entry.isDirectory() ? walk(path) : [path];
  });
}
