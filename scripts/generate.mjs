// Writes the files that derive from the code: JSON Schema, reference pages. `--check` writes nothing and fails when a
// committed file differs. Each generator is an exported pure function of the built code; its text is the whole file.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureNpmPackages, ROOT } from './bootstrap.mjs';
import { build } from './build.mjs';
import { SetupError } from './child.mjs';

/** file in the repository ← function `name` of the built module `from`. */
export const GENERATED = [];

/** @returns {Promise<string[]>} the files that differed; without `check` they have been written. */
export async function generate({ check = false, signal } = {}) {
  const stale = [];
  for (const { file, from, name } of GENERATED) {
    signal?.throwIfAborted();
    const text = await render(from, name);
    const path = join(ROOT, file);
    if (existsSync(path) && readFileSync(path, 'utf8') === text) continue;
    stale.push(file);
    if (check) continue;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return stale;
}

async function render(from, name) {
  const path = join(ROOT, 'dist', from);
  if (!existsSync(path)) throw new SetupError(`dist/${from} is missing: run \`npm run build\` first`);
  const made = (await import(pathToFileURL(path).href))[name]();
  const text = typeof made === 'string' ? made : JSON.stringify(made, null, 2);
  return text.endsWith('\n') ? text : `${text}\n`;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const check = process.argv.includes('--check');
  try {
    await ensureNpmPackages();
    await build();
    const stale = await generate({ check });
    for (const file of stale) console.log(`${check ? 'stale' : 'wrote'} ${file}`);
    if (check && stale.length > 0) process.exitCode = 1;
  } catch (error) {
    console.error(error instanceof SetupError ? error.message : error);
    process.exitCode = 1;
  }
}
