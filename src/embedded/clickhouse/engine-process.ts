/**
 * The child process that is the embedded ClickHouse (see docs/adr/embedded-clickhouse.md).
 *
 * argv: the path of libchdb, then the arguments of `clickhouse-local`. stdin is a terminal, the IPC channel is the life line: when the
 * parent closes it or dies, this process ends. It always ends by SIGKILL: the engine's threads crash in an orderly exit
 * of Node, and every acknowledged insert is on disk already.
 */
import ffi from 'ffi-rs';

const [libraryPath, ...engineArguments] = process.argv.slice(2);
const argv = ['clickhouse', ...engineArguments];
const end = () => process.kill(process.pid, 'SIGKILL');

process.once('disconnect', end);
ffi.open({ library: 'libchdb', path: libraryPath! });
// Runs the engine on a thread of its own and returns when it has ended; what went wrong stands on stderr.
await ffi.load({
  library: 'libchdb',
  funcName: 'chdb_query_cmdline',
  retType: ffi.DataType.U64,
  paramsType: [ffi.DataType.I32, ffi.DataType.StringArray],
  paramsValue: [argv.length, argv],
  runInNewThread: true,
});
end();
