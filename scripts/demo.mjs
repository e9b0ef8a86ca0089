// `npm run demo`, from a fresh clone with nothing but Node, npm and root on Debian: installs what is missing, builds,
// and hands over to demo/main.ts. Ctrl-C at any moment ends it and puts everything back; npm may deliver it twice.
//   npm run demo -- [--no-wait] [--bare]
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { DEMO_LIBVIRT_TOOLS, DEMO_TOOLS, ensureHostTools, ensureNpmPackages, ROOT } from './bootstrap.mjs';
import { build } from './build.mjs';
import { SetupError } from './child.mjs';

const USAGE = `Usage: npm run demo -- [--no-wait] [--bare]
  --no-wait  end after the final tables and put everything back
  --bare     run the guests as bare QEMU processes also where there is libvirt`;

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

const interrupt = new AbortController();
let stoppedBy = null;
for (const name of Object.keys(EXIT_CODES)) {
  process.on(name, () => {
    stoppedBy ??= name;
    interrupt.abort(new Error(`stopped by ${name}`));
  });
}

process.exit(await main());

async function main() {
  let options;
  try {
    options = parseArgs({
      options: { 'no-wait': { type: 'boolean', default: false }, bare: { type: 'boolean', default: false } },
    }).values;
  } catch (error) {
    console.error(`${error.message}\n${USAGE}`);
    return 2;
  }
  const { signal } = interrupt;
  try {
    const bareBecause = await prepare({ bare: options.bare, signal });
    const { runDemo } = await import(pathToFileURL(join(ROOT, 'build', 'demo', 'main.js')).href);
    const kept = await runDemo({ signal, wait: !options['no-wait'], bareBecause });
    // To end the demo with Ctrl-C while it waits is to end it well.
    if (kept) return 0;
  } catch (error) {
    if (signal.aborted) console.log('Stopped.');
    else console.error(error instanceof SetupError ? error.message : error);
  }
  return stoppedBy === null ? 1 : EXIT_CODES[stoppedBy];
}

/** Gives why libvirt is not to be used; null: it is there. */
async function prepare({ bare, signal }) {
  const say = (text) => console.log(`▸ ${text}`);
  if (process.platform !== 'linux') throw new SetupError('The demo needs Linux: it runs QEMU guests in cgroups.');
  if (process.getuid() !== 0) throw new SetupError('The demo needs root: it starts QEMU guests and writes cgroups.');
  await ensureNpmPackages({ signal, say });
  const withLibvirt = [...DEMO_TOOLS, ...DEMO_LIBVIRT_TOOLS];
  const missing = bare ? '--bare' : await ensureHostTools(withLibvirt, { signal, say });
  // Of several packages one that cannot be had keeps apt from installing any.
  const reason = missing === null ? null : await ensureHostTools(DEMO_TOOLS, { signal, say });
  if (reason !== null) throw new SetupError(`The demo cannot run here: ${reason}`);
  say('Building');
  await build({ demo: true, signal });
  return missing === null ? null : inOneLine(missing);
}

/** What apt printed is long: its last error says the most. */
function inOneLine(reason) {
  const [first, ...output] = reason.split('\n');
  const error = output.findLast((line) => line.startsWith('E: '));
  return error === undefined ? first : `${first} ${error.slice('E: '.length)}`;
}
