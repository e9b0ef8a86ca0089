/** What the demo proposes to try while it waits: commands for another terminal, all of them true of this run. */
import { join, relative } from 'node:path';
import type { DomainSnapshot } from '../src/snapshot/types.js';
import type { Daemon } from '../test/support/daemon.js';
import { ROOT } from '../test/support/paths.js';
import { SYSTEM_LIBVIRT } from '../test/support/system-libvirtd.js';
import type { DemoGuest } from './guests.js';

export function nextWords(daemon: Daemon, guests: readonly DemoGuest[], domains: readonly DomainSnapshot[]): string {
  const virtslad = `node ${relative(process.cwd(), join(ROOT, 'dist', 'main.js'))}`;
  const config = `--config ${daemon.configFile}`;
  const [database, web, tenant] = guests;
  if (database === undefined || web === undefined || tenant === undefined) return '';
  return `
What to look at next, in another terminal:
  # what Prometheus sees
  curl -s ${daemon.url}/metrics | grep virtsla_cpu
  # the host and its guests; why each value of one guest is what it is
  ${virtslad} status ${config}
  ${virtslad} explain ${tenant.name} ${config}
  # change policies: ${web.name} follows within 2 s, and the disk of ${tenant.name}
  sed -i 's/limit: 50%/limit: 80%/' ${join(daemon.policyDir, '20-silver.yaml')}
  sed -i 's/read-iops: 500/read-iops: 200/' ${join(daemon.policyDir, '40-tenant.yaml')}
  # lift limits by hand: they are back at once
  ${[...liftCpu(web), ...liftDisk(tenant, domains)].join('\n  ')}`;
}

function liftCpu({ name, groups }: DemoGuest): string[] {
  if (groups === null) return [`virsh -c ${SYSTEM_LIBVIRT.uri} schedinfo ${name} --set vcpu_quota=-1`];
  const unified = groups.get('unified');
  const [text, file] =
    unified === undefined
      ? ['-1', join(groups.get('cpu') ?? '', 'cpu.cfs_quota_us')]
      : ['max', join(unified, 'cpu.max')];
  return [`echo ${text} > ${file}`];
}

/** Nothing where the disk is not limited. */
function liftDisk({ name, uuid, groups }: DemoGuest, domains: readonly DomainSnapshot[]): string[] {
  const control = domains.find((domain) => domain.uuid === uuid)?.controls.find(({ id }) => id === 'disk.limit');
  const [setting] = control?.status === 'holds' ? control.settings : [];
  if (setting === undefined) return [];
  if (groups === null) return [`virsh -c ${SYSTEM_LIBVIRT.uri} blkdeviotune ${name} vda --read-iops-sec 0`];
  const device = setting.key.slice('io.max/'.length);
  const unified = groups.get('unified');
  if (unified !== undefined) return [`echo ${device} riops=max > ${join(unified, 'io.max')}`];
  return [`echo ${device} 0 > ${join(groups.get('blkio') ?? '', 'blkio.throttle.read_iops_device')}`];
}
