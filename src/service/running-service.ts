import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';
import type { Problem, StatusSnapshot } from '../observe/status.ts';

const timeoutMs = 5000;

export interface RunningService {
  url: string;
  status: StatusSnapshot;
}

/**
 * The service at `listen`, whichever pipeline it runs; undefined when nothing answers there, or something else does.
 * Throws CONFIG_INVALID when it wants another token.
 */
export async function askService(config: Config): Promise<RunningService | undefined> {
  const { host, port } = config.listen;
  // A service that listens everywhere listens on this machine too.
  const name =
    host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
  const url = `http://${name}:${port}`;
  let response: Response;
  try {
    response = await fetch(`${url}/api/status`, {
      headers: config.token ? { Authorization: `Bearer ${config.token}` } : {},
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (response.status === 401)
      throw new CdcError('CONFIG_INVALID', `the service at ${url} wants another token`, {
        hint: 'Set token (WAL_CDC_TOKEN or WAL_CDC_TOKEN_FILE) to the one of the service.',
      });
    const status = (await response.json()) as StatusSnapshot;
    return response.ok && typeof status?.pipeline === 'string' ? { url, status } : undefined;
  } catch (error) {
    if (error instanceof CdcError) throw error;
    return undefined;
  }
}

/** Why tables are stopped, by `schema.table`, as the service of this pipeline says where it would listen. */
export async function askForReasons(config: Config): Promise<Map<string, Problem>> {
  const answer = await askService(config).catch(() => undefined);
  if (answer?.status.pipeline !== config.pipeline) return new Map();
  return new Map(answer.status.tables.flatMap(({ name, reason }) => (reason ? [[name, reason]] : [])));
}
