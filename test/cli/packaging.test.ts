/** The systemd unit: what the daemon relies on is there, what would break it is not, and systemd understands it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { EXIT_CONFIG } from '../../src/cli/verb.js';
import { CONFIG_KEYS } from '../../src/config/keys.js';
import { parseDuration } from '../../src/units.js';
import { ROOT } from '../support/paths.js';
import { inDirectory } from './fake-host.js';

const unit = readFileSync(join(ROOT, 'packaging', 'virtslad.service'), 'utf8');
const settings = new Map(
  unit
    .split('\n')
    .filter((line) => /^[A-Z]/.test(line))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
);

describe('the unit', () => {
  test('notifies, is watched, reloads by SIGHUP, and is not restarted for a bad configuration', () => {
    assert.equal(settings.get('Type'), 'notify');
    assert.equal(settings.get('ExecReload'), '/bin/kill -HUP $MAINPID');
    assert.equal(settings.get('RestartPreventExitStatus'), String(EXIT_CONFIG));
    const cycle = parseDuration(CONFIG_KEYS.cycle.default ?? '');
    assert.ok(cycle.ok && Number(settings.get('WatchdogSec')) >= cycle.value * 6, 'several cycles fit the watchdog');
  });
  test('its directories are those of the default configuration', () => {
    assert.equal(`/var/lib/${settings.get('StateDirectory')}`, CONFIG_KEYS['state-dir'].default);
    assert.equal(`/run/${settings.get('RuntimeDirectory')}`, CONFIG_KEYS['run-dir'].default);
    assert.equal(settings.get('RuntimeDirectoryPreserve'), 'yes', 'the kill switch outlives a restart');
    assert.ok(CONFIG_KEYS['policy-dir'].default?.startsWith(`/etc/${settings.get('ConfigurationDirectory')}/`));
  });
  test('no hardening breaks the product', () => {
    assert.equal(settings.get('ProtectControlGroups'), 'no');
    assert.equal(settings.get('MemoryDenyWriteExecute'), 'no');
    assert.equal(settings.get('ProtectProc'), 'default');
    // Guests' interfaces, and images in home directories, are looked at.
    assert.equal(settings.get('PrivateNetwork'), 'no');
    assert.equal(settings.get('ProtectHome'), 'read-only');
    assert.ok(!settings.has('PrivateDevices') && !settings.has('ProcSubset') && !settings.has('PrivateUsers'));
    // libvirt and systemd's bus; the web address; the kernel's traffic control.
    for (const family of ['AF_UNIX', 'AF_INET', 'AF_INET6', 'AF_NETLINK']) {
      assert.match(settings.get('RestrictAddressFamilies') ?? '', new RegExp(`\\b${family}\\b`));
    }
  });

  const systemd = spawnSync('systemd-analyze', ['--version'], { encoding: 'utf8' });
  const version = Number(/^systemd (\d+)/.exec(systemd.stdout ?? '')?.[1] ?? 0);
  test('systemd understands every line', { skip: version >= 250 ? false : 'systemd-analyze 250 is not here' }, () =>
    inDirectory(async (directory) => {
      const path = join(directory, 'virtslad.service');
      // `verify` wants the command to exist.
      writeFileSync(path, unit.replace('/usr/bin/virtslad', process.execPath));
      const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', path], { encoding: 'utf8' });
      const ours = stderr.split('\n').filter((line) => line.includes('virtslad.service'));
      assert.deepEqual([status, ours], [0, []], stderr);
    }),
  );
  test('its exposure is 3.0 or less', { skip: version >= 250 ? false : 'systemd-analyze 250 is not here' }, () => {
    const path = join(ROOT, 'packaging', 'virtslad.service');
    const words = ['security', '--offline=true', '--threshold=30', '--no-pager', path];
    const { status, stdout, stderr } = spawnSync('systemd-analyze', words, { encoding: 'utf8' });
    assert.equal(status, 0, stdout.slice(-400) + stderr);
  });
});
