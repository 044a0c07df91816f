import { inspect } from 'node:util';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import { redactText } from '../config/redact.ts';
import { asCdcError } from '../core/errors.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LogOptions {
  level: LogLevel;
  /** `auto` is `pretty` on a terminal and `json` otherwise. */
  format: 'auto' | 'pretty' | 'json';
}

/** What the code logs with: `log.info({ table }, 'copied')`. */
export type Log = Pick<pino.Logger, 'debug' | 'info' | 'warn' | 'error' | 'child'>;

/** Logs to stderr (stdout belongs to what commands print), synchronously, so that the last line before an exit is not lost. */
export function createLog(
  options: LogOptions,
  stream: { fd: number; isTTY?: boolean } = process.stderr,
): Log {
  const readable = options.format === 'pretty' || (options.format === 'auto' && stream.isTTY === true);
  const withStack = options.level === 'debug' || options.level === 'trace';
  return pino(
    {
      level: options.level,
      base: undefined,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: {
        err: error => describeError(error, withStack),
      },
      formatters: { level: label => ({ level: label }) },
      redact: { paths: secretPaths, censor: '***' },
      // Passwords also hide in URLs inside messages of libraries.
      hooks: { streamWrite: redactText },
    },
    readable
      ? pretty({
          destination: stream.fd,
          sync: true,
          colorize: stream.isTTY === true,
          translateTime: 'SYS:HH:MM:ss.l',
          ignore: 'pid,hostname',
          singleLine: true,
        })
      : pino.destination({ dest: stream.fd, sync: true }),
  );
}

/** Code, message and hint say what a user can use; the stack is for debugging. */
function describeError(error: unknown, withStack: boolean): unknown {
  if (!(error instanceof Error)) return error;
  const { code, hint, table } = asCdcError(error);
  return { code, message: error.message, hint, table, ...(withStack && { stack: inspect(error) }) };
}

const secretNames = ['password', 'token', 'authorization', 'Authorization'];
const secretPaths = secretNames.flatMap(name => [name, `*.${name}`, `*.*.${name}`]);
