import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';

export interface ReceivedCall {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Record<string, unknown>;
  /** Resolves when the client closed the connection before the answer was complete. */
  readonly closed: Promise<void>;
}

export type Step = (response: ServerResponse, call: ReceivedCall) => void;

export interface ScriptedEndpoint {
  readonly baseUrl: string;
  readonly calls: readonly ReceivedCall[];
  close(): Promise<void>;
}

/** An HTTP server on a free port that answers its n-th request with the n-th step; a request beyond the script gets a 418. */
export async function scriptedEndpoint(steps: readonly Step[]): Promise<ScriptedEndpoint> {
  const calls: ReceivedCall[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const closed = new Promise<void>((resolve) => {
        response.once('close', () => {
          if (!response.writableFinished) resolve();
        });
      });
      const body = JSON.parse(Buffer.concat(chunks).toString());
      const call = { path: request.url ?? '', headers: request.headers, body, closed };
      const step = steps[calls.length] ?? ((unexpected) => unexpected.writeHead(418).end());
      calls.push(call);
      step(response, call);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('expected the server to listen on a port');
  return {
    baseUrl: `http://127.0.0.1:${address.port}/v1`,
    calls,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Step {
  return (response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

export interface Said {
  readonly usage?: unknown;
  readonly finish?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A chat completion whose message is `content`. */
export function says(
  content: string,
  { usage = { prompt_tokens: 100, completion_tokens: 20 }, finish = 'stop', headers = {} }: Said = {},
): Step {
  const message = { role: 'assistant', content };
  return json(
    200,
    {
      id: 'c',
      object: 'chat.completion',
      model: 'served',
      choices: [{ index: 0, message, finish_reason: finish }],
      usage,
    },
    headers,
  );
}

export const failing = (
  status: number,
  headers: Readonly<Record<string, string>> = {},
  code: string | null = null,
): Step => json(status, { error: { message: `failed with ${status}`, type: 'x', param: null, code } }, headers);

/** Never answers. */
export const hangs: Step = () => {};
