import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { request, setUp } from './openai-fixture.ts';
import { json, says, type Step } from './scripted-endpoint.ts';
import { recordingGate } from './spend-gate.ts';

describe('an answer that does not fit', () => {
  const misfits: [string, Step][] = [
    ['not JSON', says('As requested: {')],
    ['another shape', says('{"b":1}')],
    ['empty', says('')],
    ['cut off', says('{"a":', { finish: 'length' })],
    ['no completion', json(200, { hello: 'world' })],
    [
      'an HTTP body that is not JSON',
      (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('<html>'),
    ],
    ['an HTML page', (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')],
  ];

  it.each(misfits)('(%s) is repaired once, with the problem told', async (_, misfit) => {
    const { endpoint, model } = await setUp([misfit, says('{"a":2}')]);
    const budget = recordingGate();
    const answer = await model.complete(request({ budget }));
    expect(answer).toMatchObject({ ok: true, value: { a: 2 }, repaired: true, calls: 2 });
    const messages = JSON.stringify(endpoint.calls[1]?.body['messages']);
    expect(messages).toContain('Your answer could not be used');
    expect(budget.reserved).toHaveLength(2);
    expect(budget.open()).toBe(0);
  });

  it.each(misfits)('(%s) twice is invalid_output, and there is no third call', async (_, misfit) => {
    const { endpoint, model } = await setUp([misfit, misfit]);
    expect(await model.complete(request())).toMatchObject({ ok: false, reason: 'invalid_output', calls: 2 });
    expect(endpoint.calls).toHaveLength(2);
  });

  it('is sent back with the answer and the issue', async () => {
    const { endpoint, model } = await setUp([says('{"b":1}'), says('{"a":2}')]);
    await model.complete(request());
    const messages = endpoint.calls[1]?.body['messages'];
    expect(messages).toMatchObject([
      { role: 'system' },
      { role: 'user' },
      { role: 'assistant', content: '{"b":1}' },
      { role: 'user', content: expect.stringContaining('- a: ') },
    ]);
  });

  it('whose body is endless is cut at the limit, and the connection closed', async () => {
    const endless: Step = (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const push = () => {
        while (!response.destroyed && response.write('x'.repeat(1024))) {}
      };
      response.on('drain', push);
      push();
    };
    const { endpoint, model } = await setUp([endless, says('{"a":2}')], { answerBytesMax: 100_000 });
    const budget = recordingGate();
    expect(await model.complete(request({ budget }))).toMatchObject({ ok: true, value: { a: 2 }, repaired: true });
    await endpoint.calls[0]?.closed;
    // What an answer of unknown length cost is unknown: the worst case.
    expect(budget.settled[0]).toEqual(budget.reserved[0]);
  });

  it('whose body unfolds beyond the limit is cut as well', async () => {
    const bomb: Step = (response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
      response.end(gzipSync(JSON.stringify({ pad: ' '.repeat(5_000_000) })));
    };
    const { model } = await setUp([bomb, says('{"a":2}')], { answerBytesMax: 100_000 });
    expect(await model.complete(request())).toMatchObject({ ok: true, repaired: true });
  });

  it('settles the worst case when the endpoint reports no usable count', async () => {
    for (const usage of [
      undefined,
      null,
      { prompt_tokens: -1, completion_tokens: 1 },
      { prompt_tokens: 1e300, completion_tokens: 1 },
    ]) {
      const { model } = await setUp([says('{"a":1}', { usage: usage ?? 'none' })]);
      const budget = recordingGate();
      await model.complete(request({ budget }));
      expect(budget.settled).toEqual(budget.reserved);
    }
  });
});
