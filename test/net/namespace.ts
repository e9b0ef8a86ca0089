/**
 * Runs a script in a network namespace of its own, with a sysfs that shows it and nothing of the host in reach: gone,
 * devices and all, when the script ends. Needs root and iproute2.
 */
import { execFileSync, spawnSync } from 'node:child_process';

/** Why no script can be run; false when it can. */
export function whyNoNamespace(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux';
  try {
    execFileSync('unshare', ['--net', '--mount', 'sh', '-euc', 'ip tuntap add t0 mode tap; tc qdisc show'], {
      stdio: 'pipe',
      timeout: 20_000,
    });
    return false;
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: Buffer };
    return `no network namespace with a tap: ${(stderr?.toString() || message).trim()}`;
  }
}

/**
 * Runs an ES module in which `sh('command')` runs a command and gives its output, and gives what it reports by
 * `report(value)`. Imports are given as names and URLs.
 */
export function runInNamespace(script: string, imports: Readonly<Record<string, string>>): unknown {
  const statements = Object.entries(imports).map(([name, url]) => `import { ${name} } from ${JSON.stringify(url)};`);
  const module = `${statements.join('\n')}
    import { execFileSync } from 'node:child_process';
    const sh = (command) => execFileSync('sh', ['-euc', command], { encoding: 'utf8', stdio: 'pipe' });
    const report = (value) => console.log(JSON.stringify(value));
    ${script}`;
  const enter = 'mount -t sysfs sysfs /sys; exec "$@"';
  const child = spawnSync(
    'unshare',
    ['--net', '--mount', 'sh', '-euc', enter, 'sh', process.execPath, '--input-type=module', '--eval', module],
    { encoding: 'utf8', timeout: 60_000, killSignal: 'SIGKILL' },
  );
  if (child.status !== 0) throw new Error(child.stderr || `the script ended with ${child.status ?? child.signal}`);
  return JSON.parse(child.stdout);
}
