/**
 * Asks for a page again and again, in a process of its own: `scraper PORT PATH PAUSE_MS`. On SIGTERM prints how long each
 * answer took, ms, as JSON.
 */
import { Agent, request } from 'node:http';

const [port, path = '/metrics', pauseMs = '50'] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const taken: number[] = [];

function ask(): Promise<void> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const asking = request({ agent, host: '127.0.0.1', port: Number(port), path }, (response) => {
      response.on('data', () => undefined);
      response.on('end', () => {
        taken.push(performance.now() - began);
        resolve();
      });
    });
    asking.on('error', reject);
    asking.end();
  });
}

process.on('SIGTERM', () => {
  process.stdout.write(JSON.stringify(taken), () => process.exit(0));
});
for (;;) {
  await ask();
  await new Promise((resolve) => setTimeout(resolve, Number(pauseMs)));
}
