// Compiles the sources: src/ to dist/ (what ships), and with `tests` src/, test/ and demo/ to build/ as well, with
// `demo` only demo/ and what it imports. Files of sources that are gone are removed.
import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureNpmPackages, ROOT } from './bootstrap.mjs';
import { run, SetupError } from './child.mjs';

const TSC = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');

/** Throws a SetupError with the compiler's output when a source does not compile. */
export async function build({ tests = false, demo = false, signal } = {}) {
  const projects = [['tsconfig.json', 'dist', 'src']];
  if (tests) projects.push(['test/tsconfig.json', 'build', '.']);
  else if (demo) projects.push(['demo/tsconfig.json', 'build', '.']);
  const failures = [];
  for (const [project, output, sources] of projects) {
    removeStale(join(ROOT, output), join(ROOT, sources));
    const tsc = await run(process.execPath, [TSC, '-p', join(ROOT, project), '--pretty', 'false'], {
      cwd: ROOT,
      signal,
    });
    if (tsc.code !== 0) failures.push(`tsc -p ${project} failed\n${tsc.output.trimEnd()}`);
  }
  for (const entry of ['main.js', 'launch.js']) {
    const path = join(ROOT, 'dist', entry);
    if (existsSync(path)) chmodSync(path, 0o755);
  }
  if (failures.length > 0) throw new SetupError(failures.join('\n'));
}

/** A compiled test whose source was deleted would run for ever. */
function removeStale(output, sources) {
  if (!existsSync(output)) return;
  for (const entry of readdirSync(output, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const stem = join(sources, relative(output, dirname(path)), entry.name.replace(/\.js(\.map)?$/, ''));
    if (!existsSync(`${stem}.ts`)) rmSync(path, { force: true });
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    await ensureNpmPackages();
    await build({ tests: process.argv.includes('--tests') });
  } catch (error) {
    console.error(error instanceof SetupError ? error.message : error);
    process.exitCode = 1;
  }
}
