/**
 * The program of the child process that is the embedded ClickHouse (docs/adr/embedded-clickhouse.md).
 *
 * argv: the path of libchdb, then the arguments of `clickhouse-local`. The IPC channel is the life line: the process ends when its
 * parent does, however that happens. It always ends by SIGKILL: on an orderly exit of Node the engine's threads would crash,
 * and what was acknowledged is on disk.
 */
import ffi from 'ffi-rs';

const [libraryPath, ...engineArguments] = process.argv.slice(2);
const argv = ['clickhouse', ...engineArguments];
const end = () => process.kill(process.pid, 'SIGKILL');

process.once('disconnect', end);
if (!process.connected) end();
try {
  ffi.open({ library: 'libchdb', path: libraryPath! });
  // Runs the engine on a thread of its own and resolves when it has ended; what went wrong stands on stderr by then.
  await ffi.load({
    library: 'libchdb',
    funcName: 'chdb_query_cmdline',
    retType: ffi.DataType.U64,
    paramsType: [ffi.DataType.I32, ffi.DataType.StringArray],
    paramsValue: [argv.length, argv],
    runInNewThread: true,
  });
} catch (error) {
  console.error((error as Error).message);
}
end();
