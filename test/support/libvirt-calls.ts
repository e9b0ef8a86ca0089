/**
 * The calls that a lab's libvirtd answers, from its own log: one line for each, with the number of its procedure
 * (remote_protocol.x of libvirt; numbers never change).
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { execute, output } from './command.js';
import type { Lab } from './lab.js';
import { ON_SYSTEM } from './lab-kind.js';

/** Those with which a guest's limits, pins and metadata are set. */
export const SETTERS: Readonly<Record<number, string>> = {
  197: 'virDomainSetMemoryParameters',
  205: 'virDomainSetBlkioParameters',
  219: 'virDomainSetSchedulerParametersFlags',
  225: 'virDomainPinVcpuFlags',
  252: 'virDomainSetBlockIoTune',
  256: 'virDomainSetInterfaceParameters',
  264: 'virDomainSetMetadata',
};

/** REMOTE_PROGRAM; virt-admin's own calls are of another. */
const PROGRAM = 0x2000_8086;

/** From now on. Gives what reads the numbers so far, in order; null where there is no virt-admin to ask for it. */
export async function countCalls(lab: Lab): Promise<(() => readonly number[]) | null> {
  const uri = `libvirtd:///system?socket=${join(lab.libvirtd.runDir, 'libvirt-admin-sock')}`;
  const log = ON_SYSTEM ? '/var/log/libvirt/calls.log' : join(lab.directory, 'log', 'calls.log');
  if (ON_SYSTEM) await setBackLater(lab, uri, log);
  for (const args of [
    ['daemon-log-outputs', '1:file:/var/log/libvirt/calls.log'],
    ['daemon-log-filters', '1:rpc.netserverprogram 4:*'],
  ]) {
    const { code } = await execute('virt-admin', ['-c', uri, ...args]).catch(() => ({ code: 1 }));
    if (code !== 0) return null;
  }
  return () => {
    const text = existsSync(log) ? readFileSync(log, 'utf8') : '';
    const lines = text.matchAll(/virNetServerProgramDispatch:\d+ : prog=(\d+) .* proc=(\d+)$/gm);
    return [...lines].flatMap(([, program, procedure]) => (Number(program) === PROGRAM ? [Number(procedure)] : []));
  };
}

/** The host's libvirtd outlives the lab. */
async function setBackLater(lab: Lab, uri: string, log: string): Promise<void> {
  for (const name of ['daemon-log-outputs', 'daemon-log-filters']) {
    const { code, stdout } = await execute('virt-admin', ['-c', uri, name]).catch(() => ({ code: 1, stdout: '' }));
    if (code !== 0) return;
    const before = /: *(.*)$/m.exec(stdout)?.[1] ?? '';
    lab.cleanup.defer(`put back ${name}`, () => output('virt-admin', ['-c', uri, name, before]).then(() => undefined));
  }
  lab.cleanup.defer(`remove ${log}`, () => rmSync(log, { force: true }));
}
