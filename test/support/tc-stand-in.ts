/**
 * What libvirt's network limits need of the kernel: htb with sfq below it and a filter by mark towards the guest, an ingress
 * filter with the police action from the guest (libvirt's virnetdevbandwidth.c). Where the kernel lacks some of that, a
 * stand-in for the command `tc` sets the same rate and burst by other means: a plain queue instead of sfq, no filter by mark,
 * and instead of the police action a redirection to an ifb device with a token bucket. So what libvirt asks for is still
 * measured at real packets, but the police action itself is not tried.
 */
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execute, output } from './command.js';
import { runInNamespace } from './lab-namespace.js';

/** Kernel option → commands that fail without it, tried in a network namespace of their own. */
const NEEDS = {
  NET_SCH_HTB: 'tc qdisc add dev lo root handle 1: htb default 1',
  NET_SCH_SFQ: 'tc qdisc add dev lo root sfq perturb 10',
  NET_CLS_FW:
    'tc qdisc add dev lo root handle 1: htb && tc filter add dev lo parent 1:0 protocol all prio 1 handle 1 fw flowid 1',
  NET_SCH_INGRESS: 'tc qdisc add dev lo ingress',
  NET_ACT_POLICE:
    'tc qdisc add dev lo ingress && tc filter add dev lo parent ffff: protocol all u32 match u32 0 0 police rate 1mbit burst 9kb drop',
} as const;

export type KernelOption = keyof typeof NEEDS;

/** What of that this kernel lacks. */
export async function missingForBandwidth(): Promise<KernelOption[]> {
  const missing: KernelOption[] = [];
  for (const [option, script] of Object.entries(NEEDS)) {
    const { code } = await execute('unshare', ['--net', 'sh', '-c', script]);
    if (code !== 0) missing.push(option as KernelOption);
  }
  return missing;
}

/** Puts the stand-in where the lab's libvirtd looks for `tc`. Its ifb devices are called `ifbPrefix` and a number. */
export async function installTcStandIn(labDirectory: string, ifbPrefix: string): Promise<void> {
  const real = join(labDirectory, 'tc.real');
  const script = join(labDirectory, 'tc.stand-in');
  const path = (await output('sh', ['-c', 'readlink -f "$(command -v tc)"'])).trim();
  copyFileSync(path, real);
  writeFileSync(script, standInScript(real, ifbPrefix));
  for (const file of [real, script]) chmodSync(file, 0o755);
  await runInNamespace(labDirectory, 'mount --bind "$1" "$2"', [script, path]);
}

/** The ifb has the interface's index in its name: it may outlive the tap, whose name may come again. */
function standInScript(real: string, ifbPrefix: string): string {
  return `#!/bin/sh
ifb() { echo "${ifbPrefix}$(cat "/sys/class/net/$1/ifindex")"; }
case "$*" in
'qdisc add dev '*' sfq perturb 10')
  exec ${real} qdisc add dev "$4" parent "$6" handle "$8" pfifo limit 127 ;;
'filter add dev '*' fw flowid '*)
  exit 0 ;;
'filter add dev '*' parent ffff: '*' police rate '*)
  dev=$4 ifb=$(ifb "$4")
  while [ "$1" != rate ]; do shift; done
  ip link add "$ifb" type ifb &&
  ip link set "$ifb" up &&
  ${real} qdisc add dev "$ifb" root tbf rate "$2" burst "$4" limit 64kb &&
  exec ${real} filter add dev "$dev" parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev "$ifb"
  exit 1 ;;
'qdisc del dev '*' ingress')
  ip link del "$(ifb "$4")" 2>/dev/null ;;
esac
exec ${real} "$@"
`;
}
