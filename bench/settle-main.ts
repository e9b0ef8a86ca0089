/**
 * Makes a fixture host and brings it to rest, in a process that then ends: what that took of memory is no daemon's.
 * `settle-main COUNT`; prints the directory of the host.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { begin } from './daemon-core.js';
import { FixtureHost, VCPUS } from './fixture-host.js';

const host = new FixtureHost(Number(process.argv[2]), 'v2-no-systemd');
const core = host.assemble({ watch: false });
await begin(core, host.libvirt);
await core.reconciler.stop();
await core.parts.history.flush();
core.guests.close();
const domains = host.guests.map(({ uuid, name }) => {
  const { shares, vcpuPeriodUsec, vcpuQuotaUsec } = host.libvirt.tuning(uuid).cpu;
  const tune = [
    ['shares', shares],
    ['period', vcpuPeriodUsec],
    ['quota', vcpuQuotaUsec],
  ].flatMap(([key, value]) => (value === undefined ? [] : [`<${key}>${value}</${key}>`]));
  const originals = host.libvirt.originalsXml(uuid);
  const metadata = originals === null ? '' : `<metadata>${originals}</metadata>`;
  return `<domain type="test"><name>${name}</name><uuid>${uuid}</uuid>${metadata}<memory>1048576</memory><currentMemory>1048576</currentMemory><vcpu>${VCPUS}</vcpu><cputune>${tune.join('')}</cputune><os><type>hvm</type></os><devices/></domain>`;
});
writeFileSync(join(host.tree.root, 'node.xml'), `<node>${domains.join('')}</node>`);
process.stdout.write(host.tree.root);
process.exit(0);
