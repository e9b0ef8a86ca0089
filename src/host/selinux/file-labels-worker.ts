/**
 * Thread entry: takes one call at a time from the main thread, makes it synchronously, sends back what came of it. Tells
 * in shared memory which path it is at, because a call that hangs says nothing.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { CELL, type LabelReply, type LabelRequest, type LabelThreadData } from './label-thread.js';
import { relabelImage } from './relabel-image.js';
import { isFilePath, type LabelReading, readLabel } from './xattr.js';

const cells = new Int32Array((workerData as LabelThreadData).cells);
const calledOff = (): boolean => Atomics.load(cells, CELL.calledOff) === 1;

parentPort?.on('message', (message: LabelRequest) => {
  if ('stop' in message) {
    parentPort?.close();
    return;
  }
  const { call } = message;
  let reply: LabelReply;
  if (call.op === 'labels') {
    reply = { op: 'labels', readings: labelsOf(call.paths) };
  } else {
    Atomics.add(cells, CELL.begun, 1);
    reply = { op: 'relabel', outcome: relabelImage(call.request, calledOff) };
  }
  parentPort?.postMessage(reply);
});

function labelsOf(paths: readonly string[]): LabelReading[] {
  const readings: LabelReading[] = [];
  for (const path of paths) {
    if (calledOff()) break;
    Atomics.add(cells, CELL.begun, 1);
    readings.push(isFilePath(path) ? readLabel(path) : { label: null, problem: 'unreadable' });
  }
  return readings;
}
