// Compiles and bundles the sources: src/ to build/src and from there to dist/, which is what ships; with `tests` test/ and
// demo/ to build/ as well, with `demo` only demo/ and what it imports. Files of sources that are gone are removed.
import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureNpmPackages, ROOT } from './bootstrap.mjs';
import { run, SetupError } from './child.mjs';

const TSC = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
const COMPILED = join(ROOT, 'build', 'src');
const DIST = join(ROOT, 'dist');
/** Files that are started by their name. */
const COMMANDS = ['main.js', 'launch.js'];

/** Throws a SetupError with the compiler's output when a source does not compile. */
export async function build({ tests = false, demo = false, signal } = {}) {
  const projects = [];
  if (tests) projects.push(['test/tsconfig.json', 'build', '.']);
  else projects.push(['tsconfig.json', 'build/src', 'src']);
  if (demo && !tests) projects.push(['demo/tsconfig.json', 'build', '.']);
  for (const [project, output, sources] of projects) {
    removeStale(join(ROOT, output), join(ROOT, sources));
    const tsc = await run(process.execPath, [TSC, '-p', join(ROOT, project), '--pretty', 'false'], {
      cwd: ROOT,
      signal,
    });
    if (tsc.code !== 0) throw new SetupError(`tsc -p ${project} failed\n${tsc.output.trimEnd()}`);
  }
  await bundle();
}

/**
 * Node spends most of the start of a command on finding and opening modules: some 250 of them become a few. The commands
 * and the workers, which are started by their file's name, lie side by side in dist/, and so does what they share.
 */
async function bundle() {
  const { build: esbuild, stop } = await import('esbuild');
  const modules = readdirSync(COMPILED, { recursive: true });
  const workers = modules.filter((path) => path.endsWith('-worker.js'));
  rmSync(DIST, { recursive: true, force: true });
  await esbuild({
    entryPoints: [...COMMANDS, ...workers].map((path) => ({
      in: join(COMPILED, path),
      out: basename(path, '.js'),
    })),
    outdir: DIST,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    // Loads a shared object that lies in its own directory.
    external: ['koffi'],
    // For packages that are CommonJS and ask for modules of Node.
    banner: { js: "import{createRequire as requireFrom}from'node:module';const require=requireFrom(import.meta.url);" },
    logLevel: 'silent',
  }).catch((error) => {
    throw new SetupError(`dist/ cannot be bundled: ${error.message}`);
  });
  // Its process would stay as long as ours.
  await stop();
  for (const command of COMMANDS) chmodSync(join(DIST, command), 0o755);
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
