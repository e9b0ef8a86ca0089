/** One measurement in a process of its own: `measure NAME [--short]`. The result is JSON on descriptor 3. */
import { writeSync } from 'node:fs';
import { MEASUREMENTS, SHORT_MEASUREMENTS } from './measurements.js';
import { NotRun, type Result } from './result.js';
import { cleanUpOnSignals, cleanup } from './scratch.js';

const RESULT_FD = 3;

const [name, ...flags] = process.argv.slice(2);
const measurement = [...MEASUREMENTS, ...SHORT_MEASUREMENTS].find((one) => one.name === name);
if (measurement === undefined)
  throw new Error(`no measurement "${name}"; there are ${MEASUREMENTS.map((one) => one.name).join(', ')}`);
cleanUpOnSignals();
let result: Result;
try {
  result = await measurement.run({ short: flags.includes('--short') });
} catch (error) {
  const reason = error instanceof NotRun ? error.message : `failed: ${(error as Error).stack ?? error}`;
  result = { figures: [], raw: {}, missing: measurement.gives.map((id) => ({ id, reason })) };
}
for (const failure of await cleanup.run()) console.error(failure.message);
writeSync(RESULT_FD, JSON.stringify(result));
process.exit(0);
