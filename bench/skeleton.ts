/**
 * A process that loads the libraries that the daemon loads, listens on a port and does nothing: the floor of its memory on
 * this runtime. Its threads are those of the daemon: they load koffi, and libvirt's library where there is one.
 */
import { Worker } from 'node:worker_threads';
import 'cron';
import 'fast-xml-parser';
import { fastify } from 'fastify';
import koffi from 'koffi';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import 'yaml';
import 'zod';

/** Events, bulk reads, and calls about single guests (src/host/libvirt/connect.ts). */
const THREADS = 3;
const LOAD = `
const { parentPort } = require('node:worker_threads');
const koffi = require(${JSON.stringify(import.meta.resolve('koffi').replace('file://', ''))});
try { koffi.load('libvirt.so.0'); } catch {}
setInterval(() => {}, 1e9);
parentPort.postMessage('loaded');`;

koffi.load('libc.so.6');
const app = fastify();
new Registry();
pino({ level: 'silent' }).info('loaded');
for (let thread = 0; thread < THREADS; thread++) {
  const worker = new Worker(LOAD, { eval: true });
  await new Promise((resolve) => worker.once('message', resolve));
}
await app.listen({ host: '127.0.0.1', port: 0 });
process.stdout.write('listening\n');
