// Writes the files that derive from the code: JSON Schema, reference pages. `--check` writes nothing and fails when a
// committed file differs. Each generator is an exported pure function of the built code; its text is the whole file.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureNpmPackages, ROOT } from './bootstrap.mjs';
import { build } from './build.mjs';
import { SetupError } from './child.mjs';

/** File in the repository ← what makes it. `load` imports a module of the build. */
export const GENERATED = {
  'schema/policy.schema.json': async (load) => (await load('policy/json-schema.js')).policyJsonSchema(),
  'dashboards/rules/virtslad.yaml': async (load) => {
    const { renderRules, rulesOf } = await load('rules/rules.js');
    return renderRules(rulesOf(await examplePolicies(load)));
  },
  ...Object.fromEntries(['fleet', 'class', 'guest', 'daemon'].map((name) => [dashboardFile(name), dashboardOf(name)])),
  'docs/reference/cli.md': async (load) => (await load('cli/reference.js')).cliReference(),
  'docs/reference/configuration.md': async (load) => (await load('config/reference.js')).configurationReference(),
  'docs/reference/errors.md': async (load) => (await load('errors-reference.js')).errorReference(),
  'docs/reference/labels.md': async (load) => (await load('svirt/reference.js')).labelReference(),
  'docs/reference/metrics.md': async (load) => {
    const { CONTROLS } = await load('controls/registry.js');
    return (await load('metrics/reference.js')).renderMetricsReference(CONTROLS);
  },
  'docs/reference/policy.md': async (load) => (await load('policy/reference.js')).policyReference(),
  'packaging/virtslad.yaml': async (load) => (await load('config/reference.js')).defaultConfigurationFile(),
};

/** @returns {Promise<string[]>} the files that differed; without `check` they have been written. */
export async function generate({ check = false, signal } = {}) {
  const stale = [];
  for (const [file, make] of Object.entries(GENERATED)) {
    signal?.throwIfAborted();
    const made = await make(load);
    const text = withNewline(typeof made === 'string' ? made : JSON.stringify(made, null, 2));
    const path = join(ROOT, file);
    if (existsSync(path) && readFileSync(path, 'utf8') === text) continue;
    stale.push(file);
    if (check) continue;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return stale;
}

function dashboardFile(name) {
  return `dashboards/grafana/virtslad-${name}.json`;
}

/** Loaded when it is made: the SDK is an npm package, and those may not be there before. */
function dashboardOf(name) {
  return async () => (await import('./dashboards/dashboards.mjs')).DASHBOARDS[dashboardFile(name)]();
}

/** The policies that ship, as one generation. */
async function examplePolicies(load) {
  const files = readdirSync(join(ROOT, 'policies')).map((path) => ({
    path,
    text: readFileSync(join(ROOT, 'policies', path), 'utf8'),
  }));
  const result = (await load('policy/compile.js')).compile(files);
  if (!result.ok) throw new SetupError(`policies/ is refused: ${result.problems[0]?.message}`);
  return result.generation;
}

async function load(module) {
  const path = join(ROOT, 'build', 'src', module);
  if (!existsSync(path)) throw new SetupError(`build/src/${module} is missing: it did not compile`);
  return import(pathToFileURL(path).href);
}

function withNewline(text) {
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
