import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { tokenCounter } from '../../../shared/adapters/openai-tokens.ts';
import { waitUntil } from '../../support/wait.ts';
import type { Stats } from '../../../services/model/metrics.ts';
import { STORM } from '../../unit/model/sample.ts';
import { type ModelProcess, runModel, startModel } from './model-process.ts';

let model: ModelProcess;
beforeAll(async () => {
  model = await startModel();
});
afterAll(() => model.stop());

interface Post {
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}
const nameOf = (error: unknown) => (error instanceof Error ? error.name : 'not an error');
const post = (body: unknown, init: Post = {}) =>
  fetch(`${model.baseUrl}/chat/completions`, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
    headers: { 'content-type': 'application/json', ...init.headers },
  });
const format = (name: string, schema?: unknown) => ({
  type: 'json_schema',
  json_schema: { name, ...(schema === undefined ? {} : { schema }) },
});
const facts = {
  model: 'm',
  messages: [{ role: 'user', content: JSON.stringify({ description: 'x', text: STORM }) }],
  response_format: format('facts'),
};
const control = (body: unknown) =>
  fetch(`${model.origin}/faults`, {
    method: 'PUT',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  });
const stats = async () => (await (await fetch(`${model.origin}/faults`)).json()) as Stats & { pending: unknown[] };

/** A completion or an error: a test looks at the fields of its own kind. */
interface Body {
  readonly choices: { message: { content: string }; finish_reason: string }[];
  readonly usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
  readonly error: { message: string; type: string };
}
const bodyOf = async (response: Promise<Response> | Response) => (await (await response).json()) as Body;

beforeEach(async () => {
  await control({ next: [], rates: '' });
});

describe('an answer', () => {
  it('is labelled offline in the body and in a header', async () => {
    const response = await post(facts);
    expect(response.status).toBe(200);
    expect(response.headers.get('x-conclave-offline')).toBe('true');
    expect(await response.json()).toMatchObject({
      object: 'chat.completion',
      model: 'conclave-offline-1',
      system_fingerprint: 'offline',
      choices: [{ finish_reason: 'stop' }],
    });
  });

  it('counts real tokens', async () => {
    const count = await tokenCounter();
    const { usage, choices } = await bodyOf(post(facts));
    const [message] = facts.messages;
    expect(usage.completion_tokens).toBe(count(choices[0]?.message.content ?? ''));
    expect(usage.prompt_tokens).toBe(count(message?.content ?? '') + count('{}') + 6);
    expect(usage.total_tokens).toBe(usage.prompt_tokens + usage.completion_tokens);
  });

  it('is the same for the same question', async () => {
    const content = async () => (await bodyOf(post(facts))).choices[0]?.message;
    expect(await content()).toEqual(await content());
  });

  it.each(['max_tokens', 'max_completion_tokens'])('is cut at %s', async (limit) => {
    const count = await tokenCounter();
    const { usage, choices } = await bodyOf(post({ ...facts, [limit]: 7 }));
    expect(choices[0]?.finish_reason).toBe('length');
    expect(usage.completion_tokens).toBeLessThanOrEqual(7);
    expect(count(choices[0]?.message.content ?? '')).toBeLessThanOrEqual(7);
  });

  it('takes text in parts', async () => {
    const parts = [{ type: 'text', text: JSON.stringify({ description: 'x', text: STORM }) }];
    const response = await post({ ...facts, messages: [{ role: 'user', content: parts }] });
    expect(response.status).toBe(200);
  });

  it('to a schema of any other name satisfies it', async () => {
    const schema = {
      type: 'object',
      properties: { n: { type: 'integer', minimum: 3 }, s: { type: 'string' } },
      required: ['n', 's'],
    };
    const { choices } = await bodyOf(post({ ...facts, response_format: format('mine', schema) }));
    expect(JSON.parse(choices[0]?.message.content ?? '')).toEqual({ n: 3, s: expect.any(String) });
  });
});

describe('a request that cannot be answered', () => {
  it.each<[string, unknown, number, RegExp]>([
    ['asks for a stream', { ...facts, stream: true }, 400, /^stream: streaming is not supported/],
    ['asks for two choices', { ...facts, n: 2 }, 400, /^n: /],
    ['has no messages', { ...facts, messages: [] }, 400, /^messages: /],
    ['is not JSON', '{', 400, /JSON/],
    ['carries a prototype', '{"__proto__":{"x":1}}', 400, /JSON/],
    [
      'lacks what its schema needs',
      { ...facts, messages: [{ role: 'user', content: 'hello' }] },
      400,
      /"facts" expects .*"text"/,
    ],
    [
      'names an unknown answer without a schema',
      { ...facts, response_format: format('mine') },
      400,
      /expected a JSON Schema/,
    ],
    [
      'has a schema that nothing satisfies',
      { ...facts, response_format: format('mine', { type: 'poem' }) },
      400,
      /unknown type/,
    ],
  ])('because it %s says so', async (_, body, status, message) => {
    const response = await post(body);
    expect(response.status).toBe(status);
    const { error } = await bodyOf(response);
    expect(error).toMatchObject({ message: expect.stringMatching(message), type: 'invalid_request_error' });
  });

  it('because it is too large says so, before it is read', async () => {
    const { port } = new URL(model.origin);
    const headers = { 'content-type': 'application/json', 'content-length': 9 * 1024 * 1024 };
    const sender = request({ port, path: '/v1/chat/completions', method: 'POST', headers });
    sender.flushHeaders();
    const [response] = await once(sender, 'response');
    expect(response.statusCode).toBe(413);
    sender.destroy();
  });

  it('because of a wrong latency says so', async () => {
    const response = await post(facts, { headers: { 'x-conclave-latency-ms': 'soon' } });
    expect(response.status).toBe(400);
  });
});

describe('the other paths', () => {
  it('answer', async () => {
    const get = (path: string) => fetch(`${model.origin}${path}`);
    expect((await get('/healthz')).status).toBe(200);
    expect((await get('/readyz')).status).toBe(200);
    expect(await (await get('/v1/models')).json()).toMatchObject({ data: [{ id: 'conclave-offline-1' }] });
    expect((await get('/nowhere')).status).toBe(404);
    await post(facts);
    const metrics = await (await get('/metrics')).text();
    expect(metrics).toMatch(/^model_requests_total\{schema="facts"\} [1-9]/m);
    expect(metrics).toMatch(/^process_cpu_user_seconds_total /m);
  });

  it('keep schema names of callers out of the metrics', async () => {
    await post({ ...facts, response_format: format('of-a-caller', { type: 'object' }) });
    const metrics = await (await fetch(`${model.origin}/metrics`)).text();
    expect(metrics).not.toContain('of-a-caller');
    expect(metrics).toMatch(/^model_requests_total\{schema="other"\} [1-9]/m);
  });
});

describe('faults', () => {
  it('are served in order, to the schema they are for', async () => {
    await control({ next: [{ fault: '500', schema: 'plan' }, { fault: '429', retryAfter: '3' }, 'broken-body'] });
    const limited = await post(facts);
    expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '3']);
    expect(await (await post(facts)).text()).toBe('<html>Bad gateway</html>');
    expect((await post(facts)).status).toBe(200);
    expect((await stats()).pending).toEqual([{ fault: '500', schema: 'plan' }]);
  });

  it.each([{ next: ['nope'] }, { next: 'hang' }, { rates: 'hang:2' }])('refuses %j', async (body) => {
    expect((await control(body)).status).toBe(400);
  });

  it('hang until the client closes, and count it', async () => {
    const before = await stats();
    await control({ next: ['hang'] });
    const client = new AbortController();
    const call = post(facts, { signal: client.signal }).catch(nameOf);
    await waitUntil('the call hangs', async () => (await stats()).open > before.open);
    client.abort();
    expect(await call).toBe('AbortError');
    const after = await waitUntil('the close is seen', async () => {
      const now = await stats();
      return now.closed > before.closed ? now : undefined;
    });
    expect(after.open).toBe(0);
    expect(await (await fetch(`${model.origin}/metrics`)).text()).toMatch(
      new RegExp(`^model_requests_closed_total ${after.closed}$`, 'm'),
    );
  });

  it('drip the answer byte by byte, and stop when the client is gone', async () => {
    const before = await stats();
    await control({ next: ['drip'] });
    const client = new AbortController();
    const response = await post(facts, { signal: client.signal });
    const first = await response.body?.getReader().read();
    expect(first?.value?.length).toBeLessThan(100);
    client.abort();
    await waitUntil('the close is seen', async () => (await stats()).closed > before.closed);
  });

  it('send many megabytes, or as much as the client wants of them', async () => {
    await control({ next: ['oversize', 'oversize'] });
    const whole = await (await post(facts)).text();
    expect(whole.length).toBeGreaterThan(32 * 1024 * 1024);
    const partly = await post(facts);
    await partly.body?.cancel();
    expect((await post(facts)).status).toBe(200);
  });

  it('cut the connection, which is no close by the client', async () => {
    const before = await stats();
    await control({ next: ['reset'] });
    await expect(post(facts)).rejects.toThrow('fetch failed');
    const after = await waitUntil('the request has ended', async () => {
      const now = await stats();
      return now.open === 0 ? now : undefined;
    });
    expect(after.closed).toBe(before.closed);
    expect(after.faults['reset']).toBe((before.faults['reset'] ?? 0) + 1);
  });

  it('come at the rates of the environment, the same for the same seed', async () => {
    const run = async () => {
      const faulty = await startModel({ MODEL_FAULTS: '429:0.3,500:0.3', MODEL_SEED: '11' });
      const ask = (n: number) =>
        fetch(`${faulty.baseUrl}/chat/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: `Mast ${n} fell.` }] }),
        });
      const codes = (await Promise.all(Array.from({ length: 30 }, (_, n) => ask(n)))).map(
        (response) => response.status,
      );
      expect(await faulty.stop()).toBe(0);
      return codes;
    };
    const codes = await run();
    expect(new Set(codes)).toEqual(new Set([200, 429, 500]));
    expect(await run()).toEqual(codes);
  });
});

describe('latency', () => {
  it('of a request holds its answer back, and others not', async () => {
    const before = await stats();
    const slow = new AbortController();
    const held = post(facts, { signal: slow.signal, headers: { 'x-conclave-latency-ms': '600000' } }).catch(nameOf);
    await waitUntil('the slow request is open', async () => (await stats()).open > before.open);
    expect((await post(facts)).status).toBe(200);
    slow.abort();
    expect(await held).toBe('AbortError');
  });
});

describe('the process', () => {
  it('ends at SIGTERM also when a client is connected and silent', async () => {
    const own = await startModel();
    const silent = connect(Number(new URL(own.origin).port), '127.0.0.1');
    await once(silent, 'connect');
    const closed = once(silent, 'close');
    silent.resume();
    expect(await own.stop()).toBe(0);
    await closed;
  });

  it('ends with 0 at SIGTERM: a held answer is given, a hanging one cut', async () => {
    const own = await startModel();
    const ask = (latencyMs: number) =>
      fetch(`${own.baseUrl}/chat/completions`, {
        method: 'POST',
        body: JSON.stringify(facts),
        headers: { 'content-type': 'application/json', 'x-conclave-latency-ms': String(latencyMs) },
      });
    const open = (count: number) =>
      waitUntil(
        `${count} requests are open`,
        async () => ((await (await fetch(`${own.origin}/faults`)).json()) as Stats).open === count,
      );
    const held = ask(600_000);
    await open(1);
    await fetch(`${own.origin}/faults`, {
      method: 'PUT',
      body: '{"next":["hang"]}',
      headers: { 'content-type': 'application/json' },
    });
    const hanging = ask(0).then(
      () => 'answered',
      () => 'cut',
    );
    await open(2);
    const code = own.stop();
    expect((await held).status).toBe(200);
    expect(await hanging).toBe('cut');
    expect(await code).toBe(0);
  });

  it.each([
    ['HTTP_PORT', '99999'],
    ['MODEL_FAULTS', '429:2'],
    ['MODEL_LATENCY_MS', '-1'],
  ])('ends with 78 and one line when %s is %s', async (name, value) => {
    const { code, stderr } = await runModel({ [name]: value });
    expect(code).toBe(78);
    expect(stderr).toMatch(new RegExp(`^${name}: expected .*\n$`));
  });

  it('ends with 1 and says why when its port is taken', async () => {
    const { code, stderr } = await runModel({ HTTP_PORT: new URL(model.origin).port });
    expect(code).toBe(1);
    expect(stderr).toContain('EADDRINUSE');
  });
});
