/**
 * `virtslad launch`, top to bottom: what is asked, who it is, which program, which label, which groups, and QEMU in the
 * place of this process. Until that last step everything can be taken back, and is when a step fails.
 */
import { arch } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Config } from './config/types.js';
import { BareGuests } from './domains/bare.js';
import { isOnHugetlbfs } from './domains/bare-facts.js';
import { derivedUuid } from './domains/bare-identity.js';
import { type Problem, VirtsladError } from './errors.js';
import { findHierarchies } from './host/cgroup/layout.js';
import { become, endOnSignals } from './host/launch/become.js';
import { findProgram } from './host/launch/binary.js';
import { removeOwnGroups } from './host/launch/own-groups.js';
import { type OwnProcess, readOwnProcess, readOwnWords } from './host/launch/own-process.js';
import { readStdioLabels } from './host/launch/stdio-labels.js';
import { makeDirectory } from './host/lock.js';
import { readBootId } from './host/proc/qemu-processes.js';
import { readSmallFile } from './host/proc/read-small.js';
import { chooseClass } from './launch/choose-class.js';
import { type LaunchRequest, readRequest } from './launch/request.js';
import { recordsOf, startingDomain, withoutThem } from './launch/start-plan.js';
import { unusableStreams } from './launch/stdio.js';
import { choosePlace, startLimits } from './launch-groups.js';
import { giveLabel, type LabelParts, labelParts, readyImages } from './launch-label.js';
import type { LoadResult } from './policy/loader.js';
import { resolveTrusted, untrusted } from './policy/loader-trust.js';
import type { EffectiveClass } from './policy/types.js';
import { Gate } from './reconcile/gate.js';
import { formatJournal } from './reconcile/journal-format.js';
import { LabelRegister, type Launched } from './reconcile/labels/register.js';
import { printable } from './text/printable.js';

export interface LaunchOptions {
  readonly config: Config;
  readonly policies: LoadResult;
  /** What `--class` says; null when it was not given. */
  readonly className: string | null;
  /** QEMU's command, its program first. */
  readonly words: readonly string[];
  readonly workingDirectory: string;
  /** Aborts when this process is asked to end. */
  readonly signal: AbortSignal;
  /** For people, on stderr. */
  note(text: string): void;
  /** What a test puts in the place of the host's. */
  readonly labels?: LabelParts;
}

/** QEMU did not take this process's place. As shells say it: 127 no such program, 126 it cannot be run. */
export interface NotStarted {
  readonly exitCode: 126 | 127 | 130;
  readonly problem: Problem | null;
}

/** Comes back only when QEMU was not started. @throws VirtsladError for all that comes before QEMU's own start */
export async function launchGuest(options: LaunchOptions): Promise<NotStarted> {
  const { config, policies, words } = options;
  if (!policies.ok) throw new VirtsladError(policies.problems);
  const read = readRequest(words);
  if (!read.ok) throw new VirtsladError(read.problem);
  const own = readOwnProcess();
  const { uuid, name } = whoItIs(read.request, own, config);
  const guest = { uuid, name, title: '', description: '', metadata: [] };
  const chosen = chooseClass(policies.generation, guest, options.className, Date.now());
  if (!chosen.ok) throw new VirtsladError(chosen.problem);
  refuseUnmanaged(config, guest);
  const variable = own.environment.find((one) => one.subarray(0, 5).toString('latin1') === 'PATH=');
  const program = findProgram(read.request.program, variable?.subarray(5).toString('utf8') ?? null);
  if (!program.ok) return { exitCode: program.missing ? 127 : 126, problem: program.problem };
  const exact = readOwnWords(words);
  if (exact === null) throw new VirtsladError(NO_DASHES);
  await refuseRivals(read.request, uuid, config);
  for (const note of chosen.notes) options.note(note);
  if (read.request.unrecognised) options.note('a daemon will not see this guest: it knows QEMU by its program’s name');
  const register = openRegister(config);
  await register.removeEnded(({ groups }) => removeOwnGroups(groups));
  const start = { ...options, own, request: read.request, effective: chosen.effective, path: program.path };
  return begin({ ...start, uuid, name, register, exact });
}

interface Start extends LaunchOptions {
  readonly own: OwnProcess;
  readonly request: LaunchRequest;
  readonly effective: EffectiveClass;
  readonly path: string;
  readonly uuid: string;
  readonly name: string;
  readonly register: LabelRegister;
  readonly exact: readonly Buffer[];
}

async function begin(start: Start): Promise<NotStarted> {
  const { config, own, uuid, name, register, request, effective } = start;
  const { pid, startTicks } = own;
  const place = choosePlace({ uuid, name }, config);
  const launched: Launched = {
    pid,
    startTicks: String(startTicks),
    className: effective.name,
    groups: place.groups,
    journal: null,
  };
  const parts = start.labels ?? labelParts(config.paths.proc);
  const ask = { uuid, name, effective, request, launched, workingDirectory: start.workingDirectory };
  try {
    const given = await giveLabel(ask, register, parts);
    for (const note of given.notes) start.note(note);
    const unusable = given.label === null ? null : unusableStreams(readStdioLabels(), given.label);
    if (unusable !== null) start.note(unusable);
    const domain = startingDomain(
      {
        uuid,
        name,
        process: { pid, startTicks },
        request,
        hostArch: hostArch(),
        hugepages: onHugePages(request, config),
      },
      place.enter(),
    );
    await limit(start, domain);
    for (const note of await readyImages(ask, given, register, parts)) start.note(note);
    await parts.files.close();
    endOnSignals();
    // A signal that came before is heard now or never.
    await nextTurn();
    await nextTurn();
    if (start.signal.aborted) {
      await giveBack(start, place.leave);
      return { exitCode: 130, problem: null };
    }
    const { step, errno } = become({
      path: start.path,
      words: start.exact,
      environment: own.environment,
      descriptors: request.descriptors,
      label: given.label,
    });
    await giveBack(start, place.leave);
    return step === 'label' ? labelRefused(given.label, errno) : notRun(start.path, given.label, errno);
  } catch (error) {
    await giveBack(start, place.leave);
    throw error;
  }
}

/** What is to be given back is on disk before any of it is taken. */
async function limit(
  { config, effective, register, uuid, note }: Start,
  domain: Parameters<typeof startLimits>[0],
): Promise<void> {
  const stopped = new Gate(config).stop();
  if (stopped !== null) return note(`started without limits: ${stopped}`);
  const limits = startLimits(domain, effective);
  try {
    const journal = formatJournal(recordsOf(limits.plan));
    await register.amend(uuid, (launched) => ({ ...launched, journal }));
    await limits.apply();
    for (const without of withoutThem(limits.plan)) note(without);
  } finally {
    limits.close();
  }
}

async function giveBack({ register, uuid }: Start, leave: () => void): Promise<void> {
  leave();
  await register.endLaunch(uuid);
}

function whoItIs({ command }: LaunchRequest, { pid, startTicks }: OwnProcess, config: Config) {
  const uuid = command.uuid ?? derivedUuid(readBootId(config.paths.proc), pid, startTicks);
  return { uuid, name: command.name ?? `qemu-${pid}` };
}

/** Two processes of one uuid are both left alone by the daemon. */
async function refuseRivals({ command }: LaunchRequest, uuid: string, config: Config): Promise<void> {
  if (command.uuid === null) return;
  const { proc: procRoot, cgroup, runLibvirt } = config.paths;
  const options = {
    hierarchies: findHierarchies(cgroup),
    procRoot,
    runLibvirt,
    usesLibvirt: false,
    hostArch: hostArch(),
  };
  const { guests } = await new BareGuests(options).scan();
  const rival = guests.find((guest) => guest.uuid === uuid);
  if (rival === undefined) return;
  throw new VirtsladError({
    code: 'LAUNCH_RIVAL',
    message: `process ${rival.process.pid} (${printable(rival.name, 80)}) is a guest of uuid ${uuid} already`,
    fix: 'end that one first, or start this guest with another -uuid',
  });
}

function refuseUnmanaged(
  { configFile, manage }: Config,
  { uuid, name }: { readonly uuid: string; readonly name: string },
): void {
  if (manage.uuids === null && manage.names === null) return;
  if (manage.uuids?.includes(uuid) === true || manage.names?.includes(name) === true) return;
  throw new VirtsladError({
    code: 'LAUNCH_CLASS',
    message: `the configuration lets only some guests be managed, and ${printable(name, 80)} is not among them`,
    ...(configFile !== null && { where: configFile }),
    fix: 'add it to manage.names, or start QEMU without virtslad',
  });
}

/** @throws VirtsladError STATE_DIRECTORY, STATE_TRUST */
function openRegister({ stateDir, paths }: Config): LabelRegister {
  makeDirectory(stateDir, 0o700);
  const uid = process.geteuid?.() ?? 0;
  const found = resolveTrusted(stateDir, uid);
  const problem = found.ok ? untrusted(found.path, found.stats, uid, false) : found.problem;
  if (problem !== null) {
    const message = problem.message.replace('who could set policy', 'who could change what virtslad remembers');
    throw new VirtsladError({ ...problem, code: 'STATE_TRUST', message });
  }
  return LabelRegister.open({ stateDir, procRoot: paths.proc });
}

function onHugePages({ command }: LaunchRequest, config: Config): boolean {
  if (command.memoryPaths.length === 0) return false;
  const mounts = readSmallFile(`${config.paths.proc}/self/mounts`);
  return mounts.kind === 'text' && isOnHugetlbfs(command.memoryPaths, mounts.text);
}

/** Node's name of an architecture → QEMU's. */
function hostArch(): string {
  const names: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64', ppc64: 'ppc64', s390x: 's390x' };
  return names[arch()] ?? arch();
}

function labelRefused(label: string | null, errno: string): NotStarted {
  const message = `the kernel does not let this process start a program under ${label} (${errno})`;
  const fix =
    errno === 'EINVAL'
      ? 'the loaded policy has no such type or range: correct svirt.type in the class'
      : 'see the denial in the audit log (ausearch -m avc); the packaged policy module allows it';
  return { exitCode: 126, problem: { code: 'LAUNCH_LABEL', message, fix } };
}

function notRun(path: string, label: string | null, errno: string): NotStarted {
  const under = label === null ? '' : ` under ${label}`;
  const fix =
    errno === 'EACCES' && label !== null
      ? 'see the denial in the audit log (ausearch -m avc): the policy must let that type be entered through this program'
      : 'start it without virtslad to see what is wrong with it';
  const problem = {
    code: 'LAUNCH_PROGRAM',
    message: `the program cannot be run${under} (${errno})`,
    where: path,
    fix,
  } as const;
  return { exitCode: errno === 'ENOENT' ? 127 : 126, problem };
}

const NO_DASHES: Problem = {
  code: 'CLI_USAGE',
  message: 'the command of QEMU does not follow a --',
  fix: 'write virtslad launch --class CLASS -- qemu-system-x86_64 …',
};
