import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Config } from '../config.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import type { Findings } from './doctor-findings.ts';
import { askService } from './running-service.ts';

/** Whether `run` could listen where it should. */
export async function diagnoseListen(config: Config, findings: Findings): Promise<void> {
  const { host, port } = config.listen;
  const subject = `listen ${host}:${port}`;
  const server = createServer().listen(port, host);
  try {
    await once(server, 'listening');
    findings.ok(subject, 'free');
    server.close();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const running = await askService(config).catch(asCdcError);
    if (running && 'status' in running && running.status.pipeline === config.pipeline)
      findings.ok(subject, `the service of this pipeline answers: ${running.status.phase}`);
    else if (running && 'status' in running)
      findings.fail(
        subject,
        new CdcError('PORT_TAKEN', `the service of pipeline "${running.status.pipeline}" listens there`),
      );
    else if (code === 'EADDRINUSE')
      findings.fail(subject, new CdcError('PORT_TAKEN', 'in use by another process'));
    else
      findings.fail(
        subject,
        new CdcError('CONFIG_INVALID', `cannot listen there: ${message}`, { cause: error }),
      );
  }
}
