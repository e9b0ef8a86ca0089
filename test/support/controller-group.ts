/**
 * Where the kernel accounts and limits a guest's memory, disk requests and CPUs, found without virtslad: on cgroup v1 a
 * group in each controller's tree, on v2 the group that holds `emulator` and `vcpuN`. Source: cgroups(7), /proc/PID/cgroup.
 */
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

export interface ControllerGroup {
  readonly version: 1 | 2;
  readonly directory: string;
}

export function controllerGroup(pid: number, controller: 'memory' | 'blkio' | 'cpuset'): ControllerGroup {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n');
  for (const line of lines) {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers.split(',').includes(controller))
      return { version: 1, directory: join(mountOfV1(controller), path) };
  }
  const path = lines.find((line) => line.startsWith('0::'))?.slice('0::'.length);
  if (path === undefined) throw new Error(`process ${pid} has no group of the controller ${controller}`);
  const directory = join('/sys/fs/cgroup', path);
  return { version: 2, directory: basename(directory) === 'emulator' ? dirname(directory) : directory };
}

function mountOfV1(controller: string): string {
  for (const line of readFileSync('/proc/mounts', 'utf8').split('\n')) {
    const [, mountPoint = '', type, options = ''] = line.split(' ');
    if (type === 'cgroup' && options.split(',').includes(controller)) return mountPoint;
  }
  throw new Error(`no cgroup v1 hierarchy with the ${controller} controller is mounted`);
}
