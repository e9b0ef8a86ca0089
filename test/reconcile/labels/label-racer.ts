/** A process that assigns pairs as fast as it can: `label-racer DIRECTORY PREFIX COUNT`. Says each pair once it is given. */
import { writeSync } from 'node:fs';
import { LabelRegister } from '../../../src/reconcile/labels/register.js';

const [stateDir = '', prefix = '', count = '0'] = process.argv.slice(2);
const register = LabelRegister.open({ stateDir });
for (let n = 0; n < Number(count); n++) {
  const pair = await register.assign(`${prefix}${n}`, `guest ${n}`, null, []);
  writeSync(1, `${prefix}${n} ${pair?.join(',')}\n`);
}
