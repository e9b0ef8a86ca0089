/** The thread behind `host-facts.ts`: asks systeminformation, posts the answers, ends. */
import { parentPort } from 'node:worker_threads';
import { cpu, osInfo, system } from 'systeminformation';
import type { SystemAnswers } from './host-facts.js';

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch {
    return null;
  }
}

const [cpuAnswer, osAnswer, systemAnswer] = await Promise.all([orNull(cpu()), orNull(osInfo()), orNull(system())]);
const answers: SystemAnswers = { cpu: cpuAnswer, osInfo: osAnswer, system: systemAnswer };
parentPort?.postMessage(answers);
