/** Preloaded into the service: even a SIGKILL of the test leaves no service behind. */
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.channel?.unref();
