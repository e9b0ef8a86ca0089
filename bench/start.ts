/**
 * How long the first look at 600 guests takes that have nothing of ours yet, and how long the shipped daemon takes from the start
 * of its process to its word that it is ready, on a host without guests.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { FixtureDaemon } from './fixture-daemon.js';
import { number } from './page.js';
import type { Measurement, Result } from './result.js';
import { median } from './statistics.js';

const START = fileURLToPath(new URL('./start-main.js', import.meta.url));
const COUNT = 600;
const ROUNDS = 7;

interface Started {
  readonly ms: number;
  readonly reconciled: number;
  readonly written: number;
}

export const startMeasurement: Measurement = {
  name: 'start',
  gives: ['start-600', 'start-ready'],
  async run(): Promise<Result> {
    const starts: Started[] = [];
    const ready: number[] = [];
    const bare: number[] = [];
    const daemon = new FixtureDaemon(0);
    for (let round = 0; round < ROUNDS; round++) {
      const { stdout, stderr } = spawnSync(process.execPath, [START, String(COUNT)], { encoding: 'utf8' });
      if (stdout === '') throw new Error(stderr.slice(-500));
      starts.push(JSON.parse(stdout) as Started);
      ready.push(await daemon.start());
      await daemon.stop();
      const began = performance.now();
      spawnSync(process.execPath, ['-e', '0']);
      bare.push(performance.now() - began);
    }
    const first = starts.map(({ ms }) => ms);
    const [{ reconciled = 0, written = 0 } = {}] = starts;
    return {
      figures: [
        {
          id: 'start-600',
          value: median(first),
          shown: `${reconciled} guests, ${written} writes, files in memory, code not compiled yet`,
        },
        {
          id: 'start-ready',
          value: median(ready),
          shown: `dist/main.js, no guests; \`node -e 0\` takes ${number(median(bare))} ms`,
        },
      ],
      raw: { 'start-600.ms': first, 'start-ready.ms': ready, 'start-node.ms': bare },
    };
  },
};
