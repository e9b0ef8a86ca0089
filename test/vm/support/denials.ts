/**
 * SELinux denials as they stand in the audit log or in the kernel's own: read into data, and judged. Pure: text in, data
 * out. One that a test has announced is expected; one of virtslad or of a guest that none has announced is a failure;
 * others are one unless a known flaw of the distribution's policy.
 */

export interface Denial {
  /** `audit(1795454135.944:19)`, the same in the audit log and in the kernel's. */
  readonly event: string;
  readonly permissions: readonly string[];
  /** Types alone, without user, role and range. */
  readonly source: string;
  readonly target: string;
  readonly tclass: string;
  /** Empty where the message has none. */
  readonly comm: string;
  /** Last part of the file's path; empty where the message has none. */
  readonly name: string;
  /** It was logged and let through. */
  readonly permissive: boolean;
  readonly line: string;
}

/** What is left out matches everything. `permissions` must hold all that was denied. */
export interface DenialPattern {
  readonly source: string | RegExp;
  readonly target?: string | RegExp;
  readonly tclass?: string;
  readonly permissions?: readonly string[];
  readonly comm?: string;
  readonly name?: string;
  /** A known flaw that QEMU itself meets under svirt_t. No other pattern excuses a guest, and none excuses virtslad. */
  readonly ofGuests?: true;
  /** Why it is no failure. */
  readonly reason: string;
}

/** Denials in a log, each once though both logs hold it. */
export function parseDenials(log: string): Denial[] {
  const found = new Map<string, Denial>();
  for (const line of log.split('\n')) {
    const denial = parseDenial(line);
    if (denial === null) continue;
    const key = [denial.event, denial.source, denial.target, denial.tclass, ...denial.permissions].join(' ');
    if (!found.has(key)) found.set(key, denial);
  }
  return [...found.values()];
}

/** AVC and USER_AVC lines, and the SELINUX_ERR of a transition that was refused; null for any other line. */
export function parseDenial(line: string): Denial | null {
  const event = /audit\([\d.]+:\d+\)/.exec(line)?.[0];
  if (event === undefined) return null;
  const permissive = /\bpermissive=1\b/.test(line);
  const comm = /\bcomm="([^"]*)"/.exec(line)?.[1] ?? '';
  const name = /\bname="([^"]*)"/.exec(line)?.[1] ?? '';
  const refused = /\bop=(\S+) seresult=denied oldcontext=(\S+) newcontext=(\S+)/.exec(line);
  if (refused !== null) {
    const [, operation = '', source = '', target = ''] = refused;
    return {
      event,
      permissions: [operation],
      source: typeOf(source),
      target: typeOf(target),
      tclass: 'process',
      comm,
      name,
      permissive,
      line,
    };
  }
  const denied = /\bavc:\s+denied\s+\{ ([^}]*) \}.*?\bscontext=(\S+) tcontext=(\S+) tclass=(\w+)/.exec(line);
  if (denied === null) return null;
  const [, permissions = '', source = '', target = '', tclass = ''] = denied;
  return {
    event,
    permissions: permissions.trim().split(/\s+/),
    source: typeOf(source),
    target: typeOf(target),
    tclass,
    comm,
    name,
    permissive,
    line,
  };
}

export function isOfVirtslad({ source }: Denial): boolean {
  return /^virtslad(?:_\w+)?_t$/.test(source);
}

export function isOfGuest({ source }: Denial): boolean {
  return /^svirt(?:_\w+)?_t$/.test(source);
}

export function matches(denial: Denial, pattern: DenialPattern): boolean {
  return (
    isLike(denial.source, pattern.source) &&
    (pattern.target === undefined || isLike(denial.target, pattern.target)) &&
    (pattern.tclass === undefined || denial.tclass === pattern.tclass) &&
    (pattern.comm === undefined || denial.comm === pattern.comm) &&
    (pattern.name === undefined || denial.name === pattern.name) &&
    (pattern.permissions === undefined || denial.permissions.every((name) => pattern.permissions?.includes(name)))
  );
}

/** Those that nobody has announced and that are no known flaw. */
export function unexpectedDenials(
  denials: readonly Denial[],
  announced: readonly DenialPattern[],
  known: readonly DenialPattern[],
): Denial[] {
  return denials.filter((denial) => {
    if (announced.some((pattern) => matches(denial, pattern))) return false;
    if (isOfVirtslad(denial)) return true;
    const guests = isOfGuest(denial);
    return !known.some((pattern) => guests === (pattern.ofGuests === true) && matches(denial, pattern));
  });
}

/** Like ones once, with how many there were. */
export function describeDenials(denials: readonly Denial[]): string {
  const groups = new Map<string, Denial[]>();
  for (const denial of denials) {
    const { permissions, source, target, tclass, comm } = denial;
    const title = `${source} ${target}:${tclass} { ${permissions.join(' ')} } comm=${comm}`;
    groups.set(title, [...(groups.get(title) ?? []), denial]);
  }
  return [...groups].map(([title, [first, ...more]]) => `${more.length + 1} × ${title}\n  ${first?.line}`).join('\n');
}

function typeOf(context: string): string {
  return context.split(':')[2] ?? context;
}

function isLike(value: string, pattern: string | RegExp): boolean {
  return typeof pattern === 'string' ? value === pattern : pattern.test(value);
}
