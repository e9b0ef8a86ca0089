/**
 * Thread entry: takes one call at a time from the main thread, makes it synchronously on a bus connection of its own,
 * sends back the outcome. Connects when first asked and again when the connection has died.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { BusOutcome, BusRequest, BusThreadData } from './properties-thread.js';
import { UnitBus } from './unit-bus.js';

const bus = new UnitBus(workerData as BusThreadData);

parentPort?.on('message', (request: BusRequest) => {
  if ('stop' in request) {
    bus.close();
    parentPort?.close();
    return;
  }
  let outcome: BusOutcome;
  try {
    outcome = bus.make(request.call);
  } catch (error) {
    const message = `systemd worker: ${error instanceof Error ? error.message : error}`;
    outcome = { ok: false, failure: 'refused', message };
  }
  parentPort?.postMessage(outcome);
});
