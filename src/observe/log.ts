import { pino } from 'pino';
import pretty from 'pino-pretty';
import { redactText } from '../config/redact.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LogOptions {
  level: LogLevel;
  /** `auto` is `pretty` on a terminal and `json` otherwise. */
  format: 'auto' | 'pretty' | 'json';
}

/** What the code logs with: `log.info({ table }, 'copied')`. */
export type Log = Pick<pino.Logger, 'debug' | 'info' | 'warn' | 'error' | 'child'>;

/** Logs to stderr (stdout belongs to what commands print), synchronously, so that the last line before an exit is not lost. */
export function createLog(options: LogOptions, stream: NodeJS.WriteStream = process.stderr): Log {
  const readable = options.format === 'pretty' || (options.format === 'auto' && stream.isTTY === true);
  return pino(
    {
      level: options.level,
      base: undefined,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      redact: { paths: secretPaths, censor: '***' },
      // Passwords also hide in URLs inside messages of libraries.
      hooks: { streamWrite: redactText },
    },
    readable
      ? pretty({
          destination: stream,
          sync: true,
          colorize: stream.isTTY === true,
          translateTime: 'SYS:HH:MM:ss.l',
          ignore: 'pid,hostname',
          singleLine: true,
        })
      : pino.destination({ dest: (stream as { fd?: number }).fd ?? 2, sync: true }),
  );
}

const secretNames = ['password', 'token', 'authorization', 'Authorization', 'key'];
const secretPaths = secretNames.flatMap(name => [name, `*.${name}`, `*.*.${name}`]);
