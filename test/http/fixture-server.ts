/** What the tests of the servers share: a log that keeps its lines, metrics that say little, a raw connection. */
import { connect, type NetConnectOpts } from 'node:net';
import { createLog, type Log } from '../../src/log.js';

export function quietLog(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  return { lines, log: createLog({ level: 'debug', format: 'json', sink: { write: (line) => lines.push(line) } }) };
}

export const FIXTURE_METRICS = {
  render: async () => ({ body: Buffer.from('up 1\n'), contentType: 'text/plain; version=0.0.4; charset=utf-8' }),
};

/** Sends `text`, gives what comes back until the other side ends, and how long that took. */
export function rawExchange(
  to: NetConnectOpts,
  text: string,
): Promise<{ readonly answer: string; readonly ms: number }> {
  const startMs = performance.now();
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(to, () => socket.write(text));
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      answer += chunk;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve({ answer, ms: performance.now() - startMs }));
  });
}
