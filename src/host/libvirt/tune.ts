/**
 * The set calls that tune a domain: takes TuneCalls, gives the outcome of the first that failed. Synchronous, for a worker
 * thread. All but that for the definition's label are live only (VIR_DOMAIN_AFFECT_LIVE), and all may be made twice.
 */

import { type Bandwidth, type DiskThrottle, THROTTLE_FIELDS } from '../../domains/types.js';
import { canonicalThrottle } from '../../text/disk-throttle.js';
import type { Pointer } from '../ffi.js';
import * as c from './bindings.js';
import type { LibvirtOutcome, TuneCall } from './client.js';
import { setSeclabel } from './definition.js';
import { setHistogram } from './disk-histograms.js';
import { type Connection, done, type Failed, failed, withInstance } from './domain-call.js';
import { mayNameGroup, parseTuning } from './domain-xml.js';
import { type TypedParameter, withTypedParameters } from './typed-parameters.js';

const DONE: LibvirtOutcome<null> = { ok: true, value: null };
/** More than any kernel is built for. */
const CPU_MAX = 65_535;
const LIVE = c.VIR_DOMAIN_AFFECT_LIVE;

type SetCall = (block: Uint8Array, count: number) => number;

/** Makes all calls, whatever becomes of the others, unless the domain or the connection has gone. */
export function tune(
  connection: Connection,
  uuid: string,
  id: number | null,
  calls: readonly TuneCall[],
): LibvirtOutcome<null> {
  let first: Failed | null = null;
  for (const call of calls) {
    // Looked up for each: one call may have waited for long enough that another instance runs now.
    const outcome = tuneOne(connection, uuid, id, call);
    if (outcome.ok) continue;
    // The whole list is made again on a new connection.
    if (outcome.failure === 'disconnected') return outcome;
    first ??= { ...outcome, message: named(call, outcome.message) };
    if (outcome.failure === 'vanished') break;
  }
  return first ?? DONE;
}

function tuneOne(connection: Connection, uuid: string, id: number | null, call: TuneCall): LibvirtOutcome<null> {
  if (call.call === 'seclabel') return setSeclabel(connection, uuid, call.text);
  if (id === null) return { ok: false, failure: 'vanished', message: 'the domain does not run' };
  return withInstance(connection, uuid, id, (domain) => attempt(connection, domain, call));
}

/** Those about the running instance. */
type LiveCall = Exclude<TuneCall, { call: 'seclabel' }>;

function attempt(connection: Connection, domain: Pointer, call: LiveCall): LibvirtOutcome<null> {
  try {
    return make(connection, domain, call);
  } catch (error) {
    // A value that C has no place for. The other calls are made all the same.
    return { ok: false, failure: 'refused', message: error instanceof Error ? error.message : String(error) };
  }
}

function make(connection: Connection, domain: Pointer, call: LiveCall): LibvirtOutcome<null> {
  const { libvirt } = connection;
  const set = (parameters: readonly TypedParameter[], setCall: SetCall) => send(connection, parameters, setCall);
  switch (call.call) {
    case 'scheduler': {
      const { cpu_shares, vcpu_period, vcpu_quota } = call.parameters;
      return set(
        [...given('cpu_shares', cpu_shares), ...given('vcpu_period', vcpu_period), ...quota(vcpu_quota)],
        (block, count) => libvirt.virDomainSetSchedulerParametersFlags(domain, block, count, LIVE),
      );
    }
    case 'memory': {
      const parameters = Object.entries(call.parameters).flatMap(([name, value]) => given(name, value));
      return set(parameters, (block, count) => libvirt.virDomainSetMemoryParameters(domain, block, count, LIVE));
    }
    case 'blkio': {
      const { weight, ...devices } = call.parameters;
      const parameters: TypedParameter[] =
        weight === undefined ? [] : [{ name: 'weight', type: 'uint', value: weight }];
      for (const [name, value] of Object.entries(devices)) parameters.push({ name, type: 'string', value });
      return set(parameters, (block, count) => libvirt.virDomainSetBlkioParameters(domain, block, count, LIVE));
    }
    case 'throttle':
      return setThrottle(connection, domain, call.disk, canonicalThrottle(call.throttle));
    case 'bandwidth':
      return setBandwidth(connection, domain, call);
    case 'pin': {
      const cpus = cpuMap(call.cpus);
      return done(connection, libvirt.virDomainPinVcpuFlags(domain, call.vcpu, cpus, cpus.length, LIVE));
    }
    case 'histogram':
      return setHistogram(connection, domain, call);
  }
}

function send(connection: Connection, parameters: readonly TypedParameter[], call: SetCall): LibvirtOutcome<null> {
  return parameters.length === 0 ? DONE : done(connection, withTypedParameters(parameters, call));
}

/** Every field is sent: what is left out of a category of fields is taken off, and what is left out wholly stays. */
function setThrottle(connection: Connection, domain: Pointer, disk: string, throttle: DiskThrottle) {
  const { fields, group } = throttle;
  const limited = Object.keys(fields).length > 0;
  if (limited && group === null) {
    // Sent without a group, a limit would be that of the group that the disk is in, for every disk in it. A disk leaves
    // its group when all its limits are taken off.
    const shared = sharesGroup(connection, domain, disk);
    if (!shared.ok) return shared;
    if (shared.value) {
      const left = sendThrottle(connection, domain, disk, { fields: {}, group: null });
      if (!left.ok) return left;
    }
  }
  return sendThrottle(connection, domain, disk, throttle);
}

function sendThrottle(
  connection: Connection,
  domain: Pointer,
  disk: string,
  { fields, group }: DiskThrottle,
): LibvirtOutcome<null> {
  const parameters: TypedParameter[] = THROTTLE_FIELDS.map((name) => {
    return { name, type: 'ullong', value: BigInt(fields[name] ?? 0) };
  });
  if (group !== null) parameters.push({ name: 'group_name', type: 'string', value: group });
  return send(connection, parameters, (block, count) =>
    connection.libvirt.virDomainSetBlockIoTune(domain, disk, block, count, LIVE),
  );
}

/** Whether the disk is in a group that its XML names. */
function sharesGroup(connection: Connection, domain: Pointer, disk: string): LibvirtOutcome<boolean> {
  const xml = connection.libvirt.virDomainGetXMLDesc(domain, 0);
  if (xml === null) return failed(connection);
  if (!mayNameGroup(xml)) return { ok: true, value: false };
  const found = parseTuning(xml).disks.find(({ target }) => target === disk);
  return { ok: true, value: found !== undefined && found.throttle.group !== null };
}

function given(name: string, value: bigint | undefined): TypedParameter[] {
  return value === undefined ? [] : [{ name, type: 'ullong', value }];
}

function quota(value: bigint | undefined): TypedParameter[] {
  return value === undefined ? [] : [{ name: 'vcpu_quota', type: 'llong', value }];
}

/**
 * libvirt runs tc some eight times. Where that fails halfway (a kernel without sfq or police), libvirt puts back the limits
 * that were there before; if there were none it leaves the half on the interface, which is taken off here.
 */
function setBandwidth(connection: Connection, domain: Pointer, call: Extract<TuneCall, { call: 'bandwidth' }>) {
  const { libvirt } = connection;
  const set: SetCall = (block, count) =>
    libvirt.virDomainSetInterfaceParameters(domain, call.device, block, count, LIVE);
  const outcome = send(connection, [...rate('inbound', call.inbound), ...rate('outbound', call.outbound)], set);
  if (outcome.ok || outcome.failure !== 'refused') return outcome;
  const xml = libvirt.virDomainGetXMLDesc(domain, 0);
  const found = xml === null ? undefined : parseTuning(xml).interfaces.find(({ device }) => device === call.device);
  if (found?.inbound === null && found.outbound === null) {
    send(connection, [...rate('inbound', null), ...rate('outbound', null)], set);
  }
  return outcome;
}

/** libvirt takes a direction with an average of 0 for one without a limit. What is not sent of a direction is taken off. */
function rate(direction: 'inbound' | 'outbound', bandwidth: Bandwidth | null | undefined): TypedParameter[] {
  if (bandwidth === undefined) return [];
  const { averageKbytes = 0, peakKbytes = 0, burstKbytes = 0, floorKbytes = 0 } = bandwidth ?? {};
  const parameters: TypedParameter[] = [
    { name: `${direction}.average`, type: 'uint', value: averageKbytes },
    { name: `${direction}.peak`, type: 'uint', value: peakKbytes },
    { name: `${direction}.burst`, type: 'uint', value: burstKbytes },
  ];
  // Only some interfaces know a floor, and only inbound.
  if (floorKbytes > 0) parameters.push({ name: `${direction}.floor`, type: 'uint', value: floorKbytes });
  return parameters;
}

/** One bit a CPU, the lowest first, as long as the highest CPU needs. */
function cpuMap(cpus: readonly number[]): Uint8Array {
  const impossible = cpus.find((cpu) => !Number.isInteger(cpu) || cpu < 0 || cpu > CPU_MAX);
  if (impossible !== undefined) throw new RangeError(`there is no CPU ${impossible}`);
  const map = new Uint8Array(Math.floor(Math.max(0, ...cpus) / 8) + 1);
  for (const cpu of cpus) {
    const byte = Math.floor(cpu / 8);
    map[byte] = (map[byte] ?? 0) | (1 << (cpu % 8));
  }
  return map;
}

function named(call: TuneCall, message: string): string {
  switch (call.call) {
    case 'throttle':
    case 'histogram':
      return `disk ${call.disk}: ${message}`;
    case 'bandwidth':
      return `interface ${call.device}: ${message}`;
    case 'pin':
      return `vCPU ${call.vcpu}: ${message}`;
    case 'seclabel':
      return `label: ${message}`;
    default:
      return message;
  }
}
