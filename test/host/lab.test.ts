/** The host lane's own instruments, without virtslad: if one of these fails, the others prove nothing. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, test } from 'node:test';
import { measureCores, vcpuThreadIds } from '../support/cpu-time.js';
import { groupDirectories, limitCores, readCpuFiles, readWeight } from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';

const lab = await Lab.open();
after(() => lab.close());

test('a burning guest wants a core for each vCPU, an idle one nothing', async (t) => {
  const busy = await lab.startGuest({ name: 'busy', vcpus: 2 });
  const idle = await lab.startGuest({ name: 'idle', burn: false });
  await busy.waitUntilBusy();
  const [busyCores = 0, idleCores = 0] = await measureCores([busy.pid, idle.pid], 2);
  t.diagnostic(`busy ${busyCores.toFixed(2)} cores, idle ${idleCores.toFixed(3)} cores`);
  assert.deepEqual([...vcpuThreadIds(busy.pid).keys()].sort(), [0, 1]);
  // waitUntilBusy has seen both vCPUs want a CPU all the time; what they get depends on who else is here.
  assert.ok(busyCores > 0.4 && busyCores <= 2.05, `busy: ${busyCores}`);
  assert.ok(idleCores < 0.05, `idle: ${idleCores}`);
  await busy.destroy();
  await idle.destroy();
});

test("a limit set by libvirt is read back from the kernel and measured at the guest's threads", async (t) => {
  const guest = await lab.startGuest({ name: 'capped' });
  const { groups, pid } = guest;
  assert.equal(limitCores(groups, 'vcpu0'), null);
  assert.equal(Math.round(readWeight(groups)), 100);
  await guest.waitUntilBusy();
  const { code, stderr } = await guest.virsh(['schedinfo', guest.uuid, '--set', 'vcpu_quota=30000']);
  assert.equal(code, 0, stderr);
  assert.equal(limitCores(groups, 'vcpu0'), 0.3);
  assert.equal(limitCores(groups, 'emulator'), null);
  assert.ok(Object.keys(readCpuFiles(groups)).length >= 3 * groupDirectories(groups).length - 2);
  const [cores = 0] = await measureCores([pid], 3);
  t.diagnostic(`limit 0.30 cores, used ${cores.toFixed(3)}`);
  assert.ok(Math.abs(cores - 0.3) < 0.04, `used ${cores}`);
});

test('guests outlive a restart and a crash of their libvirtd', async () => {
  const guest = await lab.startGuest({ name: 'survivor', burn: false });
  const { pid } = guest;
  await lab.libvirtd.restart();
  await lab.libvirtd.restart('SIGKILL');
  assert.equal(guest.pid, pid);
  assert.equal((await guest.virsh(['domstate', guest.uuid])).stdout.trim(), 'running');
  const directory = guest.groups.domainDir;
  await guest.destroy();
  assert.ok(!existsSync(`/proc/${pid}`));
  assert.ok(!existsSync(directory));
});
