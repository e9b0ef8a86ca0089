/**
 * The worker thread of the loader: reads and compiles one set of policy files and ends. Whatever a file does to it, the
 * daemon's event loop goes on. Takes a {@link LoadJob}, posts `ready` and then the result.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { compile } from './compile.js';
import { sorted } from './findings.js';
import type { LoadJob, LoadResult } from './loader.js';
import { readPolicyDirectory, readPolicyPaths } from './loader-files.js';

function load(job: LoadJob): LoadResult {
  const read = 'directory' in job ? readPolicyDirectory(job.directory, job.uid) : readPolicyPaths(job.paths, job.uid);
  if (read.problems.length === 0) return compile(read.files);
  // What can be said about the files that could be read is said too, unless it may be for want of the others.
  const compiled = compile(read.files);
  const more = compiled.ok ? [] : compiled.problems.filter(({ code }) => code !== 'POLICY_CLASS_UNKNOWN');
  return { ok: false, problems: sorted([...read.problems, ...more]) };
}

parentPort?.postMessage('ready');
parentPort?.postMessage(load(workerData as LoadJob));
