/**
 * The structured log. Takes an event name (stable, for machines), fields and a message for people; writes one line to
 * stderr (stdout belongs to the commands) as JSON, logfmt or text. Never blocks: lines go through a bounded buffer
 * that drops when the reader stalls. The same event about the same thing is written a few times a minute, then counted.
 */
import { pino } from 'pino';
import { VirtsladError } from './errors.js';
import { formatLine, type LogFormat } from './log-format.js';
import { NAME_LENGTH_MAX, printable } from './text/printable.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type { LogFormat } from './log-format.js';

export interface Log {
  /** `event`: lower case words joined by dots, never changed once released: `control.write`, `policy.reload`. */
  debug(event: string, fields: object, message?: string): void;
  info(event: string, fields: object, message?: string): void;
  warn(event: string, fields: object, message?: string): void;
  error(event: string, fields: object, message?: string): void;
}

/** The log of the process, which has an end. */
export interface ProcessLog extends Log {
  /** Reports what was suppressed and writes what is buffered, synchronously; for the moment before the process ends. */
  flush(): void;
}

/** Where finished lines go; a file descriptor in production. */
export interface LogSink {
  write(line: string): unknown;
  flushSync?(): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Under journald (JOURNAL_STREAM is set): lines get a `<4>` priority prefix and, but for JSON, no time of their own. */
  readonly journald?: boolean;
  /** Default: file descriptor 2, buffered. */
  readonly sink?: LogSink;
  /** Wall clock in ms, for the line's time. */
  readonly now?: () => number;
  /** Monotonic clock in ms, for the rate limit. */
  readonly monotonic?: () => number;
  /** Lines of one event about one thing in a minute; default 10. */
  readonly perMinute?: number;
}

/** Bytes that may wait for a slow reader of stderr. */
const BUFFER_BYTES_MAX = 1024 * 1024;
const TEXT_LENGTH_MAX = 2048;
const DEPTH_MAX = 4;
/** Kinds of line remembered at once: bounds memory when names are without end. */
const KINDS_MAX = 10_000;
const WINDOW_MS = 60_000;
/** Key order is line order: the event comes first. */
const EVENT_FIRST = { event: '' };

interface Kind {
  readonly untilMs: number;
  written: number;
  suppressed: number;
  /** The fields that its lines have in common. */
  readonly about: object;
}

export function createLog(options: LogOptions): ProcessLog {
  const sink = options.sink ?? stderrSink();
  const now = options.now ?? Date.now;
  const monotonic = options.monotonic ?? (() => performance.now());
  const perMinute = options.perMinute ?? 10;
  const journald = options.journald ?? false;
  const logger = pino(
    {
      level: options.level,
      base: null,
      messageKey: 'message',
      timestamp: () => `,"time":"${new Date(now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => void sink.write(formatLine(line, options.format, journald)) },
  );
  const kinds = new Map<string, Kind>();
  let sweepAtMs = Number.NEGATIVE_INFINITY;

  function write(level: LogLevel, event: string, fields: object, message: string | undefined): void {
    if (!logger.isLevelEnabled(level)) return;
    const atMs = monotonic();
    if (atMs >= sweepAtMs || kinds.size >= KINDS_MAX) sweep(atMs);
    const about = aboutOf(event, fields);
    const key = JSON.stringify(about);
    let kind = kinds.get(key);
    if (kind === undefined || kind.untilMs <= atMs) {
      if (kind !== undefined) reportSuppressed(kind);
      kind = { untilMs: atMs + WINDOW_MS, written: 0, suppressed: 0, about };
      kinds.set(key, kind);
    }
    if (kind.written >= perMinute) {
      kind.suppressed++;
      return;
    }
    kind.written++;
    emit(level, event, fields, message);
  }

  function emit(level: LogLevel, event: string, fields: object, message: string | undefined): void {
    const { level: _level, time: _time, message: _message, ...own } = plain(fields, 0) as Record<string, unknown>;
    const line = { ...EVENT_FIRST, ...own, event };
    if (message === undefined) logger[level](line);
    else logger[level](line, printable(message, TEXT_LENGTH_MAX));
  }

  /** Forgets the windows that have ended (all when the table is full), saying what they swallowed. */
  function sweep(atMs: number): void {
    sweepAtMs = atMs + WINDOW_MS;
    const full = kinds.size >= KINDS_MAX;
    for (const [key, kind] of kinds) {
      if (!full && kind.untilMs > atMs) continue;
      kinds.delete(key);
      reportSuppressed(kind);
    }
  }

  function reportSuppressed(kind: Kind): void {
    if (kind.suppressed > 0) emit('warn', 'log.suppressed', { of: kind.about, count: kind.suppressed }, undefined);
  }

  return {
    debug: (event, fields, message) => write('debug', event, fields, message),
    info: (event, fields, message) => write('info', event, fields, message),
    warn: (event, fields, message) => write('warn', event, fields, message),
    error: (event, fields, message) => write('error', event, fields, message),
    flush() {
      sweep(Number.POSITIVE_INFINITY);
      sweepAtMs = Number.NEGATIVE_INFINITY;
      sink.flushSync?.();
    },
  };
}

/** What makes two lines repeats of each other. A write names its setting too: sixteen vCPUs are not one repeated line. */
function aboutOf(event: string, fields: object): object {
  const { uuid, domain, control, key } = fields as Record<string, unknown>;
  const about: Record<string, unknown> = { event };
  for (const [name, value] of Object.entries({ uuid, domain, control, key })) {
    if (typeof value === 'string') about[name] = printable(value);
  }
  return about;
}

/** Plain JSON of any value: strings safe to print, errors as code and message, bounded depth. */
function plain(value: unknown, depth: number, name = ''): unknown {
  if (typeof value === 'string') return printable(value, name === 'domain' ? NAME_LENGTH_MAX : TEXT_LENGTH_MAX);
  if (typeof value === 'bigint') return String(value);
  if (value instanceof VirtsladError) return plain(value.problems, depth + 1);
  // Any other error is a defect or a fault of the system: the stack is for the log alone, never for a user.
  if (value instanceof Error) {
    const { code } = value as { code?: unknown };
    return plain({ ...(code === undefined ? {} : { code }), message: value.message, stack: value.stack }, depth + 1);
  }
  if (typeof value !== 'object' || value === null) return typeof value === 'function' ? undefined : value;
  if (depth >= DEPTH_MAX) return '…';
  if (Array.isArray(value)) return value.map((item) => plain(item, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item, depth + 1, key)]));
}

/** stderr by asynchronous writes. A reader that stalls costs lines, never the event loop. */
function stderrSink(): LogSink {
  const stream = pino.destination({ dest: 2, sync: false, maxLength: BUFFER_BYTES_MAX });
  // A closed stderr must not end the daemon.
  stream.on('error', () => {});
  return stream;
}
