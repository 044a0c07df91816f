const timeoutMs = 10_000;

/** An HTTP API that answers in JSON, at a URL that may have a user and a password. */
export class JsonEndpoint {
  /** Without user and password. */
  readonly address: string;
  readonly #headers: Record<string, string>;

  constructor(url: string, accept: string) {
    const { username, password, origin, pathname } = new URL(url);
    this.address = origin + pathname.replace(/\/+$/, '');
    this.#headers = { accept };
    if (username || password) {
      const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
      this.#headers.authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
    }
  }

  /** The body of an answer other than 2xx is left out. @throws Error that says why there is no answer, or none in JSON */
  async get(path: string): Promise<{ status: number; body: unknown }> {
    try {
      const response = await fetch(this.address + path, {
        headers: this.#headers,
        signal: AbortSignal.timeout(timeoutMs),
      });
      if (response.ok) return { status: response.status, body: await response.json() };
      await response.body?.cancel();
      return { status: response.status, body: undefined };
    } catch (error) {
      throw new Error(causeOf(error), { cause: error });
    }
  }
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
