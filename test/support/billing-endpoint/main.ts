/**
 * A model endpoint that bills: what a call costs is decided and put on the account the moment the request has arrived, as if the answer had been
 * generated then, whatever becomes of the caller. Its account is the truth that budgets are held against; the agents' own word is not asked.
 *
 * Environment: `LATENCY_MS` (most that an answer takes), `LIES` (a rate of answers whose reported count of tokens is nonsense).
 * `GET /bills` -> `{ "<account>": Bill }`.
 */
import { createServer, type ServerResponse } from 'node:http';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { tokenCounter } from '../../../shared/adapters/openai-tokens.ts';
import { addUsd, computeCost, toUsd } from '../../../shared/core/cost.ts';
import { PriceTable } from '../../../shared/protocol/prices.ts';

export interface Bill {
  calls: number;
  tokens: number;
  usd: number;
  /** Answers that reached their caller whole, and callers that were gone before. */
  answered: number;
  gone: number;
}

interface Question {
  readonly messages: readonly { readonly content: string }[];
  readonly response_format: { readonly json_schema: unknown };
  readonly max_completion_tokens: number;
}

const LATENCY_MS = Number(process.env['LATENCY_MS'] ?? 300);
const LIES = Number(process.env['LIES'] ?? 0);
const PRICES = PriceTable.parse(
  JSON.parse(readFileSync(new URL('../../../deploy/prices.json', import.meta.url), 'utf8')),
);
const PRICE = PRICES.models['conclave-offline-1'] ?? { inputUsdPerMTok: 1, outputUsdPerMTok: 1 };
const count = await tokenCounter();
const bills = new Map<string, Bill>();

function billOf(account: string): Bill {
  const known = bills.get(account) ?? { calls: 0, tokens: 0, usd: 0, answered: 0, gone: 0 };
  bills.set(account, known);
  return known;
}

async function answer(body: string, response: ServerResponse): Promise<void> {
  const question = JSON.parse(body) as Question;
  const prompt = question.messages.map(({ content }) => content);
  const account = /account:([\w-]+)/.exec(prompt.join(' '))?.[1] ?? 'nobody';
  // As chat endpoints count: the texts, three tokens around each, and the schema.
  const inputTokens = prompt.reduce(
    (sum, content) => sum + count(content) + 3,
    3 + count(JSON.stringify(question.response_format.json_schema)),
  );
  const outputTokens = 1 + Math.floor(Math.random() * question.max_completion_tokens);
  const bill = billOf(account);
  bill.calls += 1;
  bill.tokens += inputTokens + outputTokens;
  bill.usd = addUsd([bill.usd, toUsd(computeCost(PRICE, { inputTokens, outputTokens }))]);
  const there = await whileItWaits(response, Math.random() * LATENCY_MS);
  if (!there) {
    bill.gone += 1;
    return;
  }
  bill.answered += 1;
  const usage = Math.random() < LIES ? lie() : { prompt_tokens: inputTokens, completion_tokens: outputTokens };
  const message = { role: 'assistant', content: '{"said":"something"}' };
  const completion = {
    id: 'b',
    object: 'chat.completion',
    model: 'billing',
    choices: [{ index: 0, message, finish_reason: 'stop' }],
    usage,
  };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(completion));
}

/** False when the caller hung up meanwhile. A process that was killed only ends its half of the connection. */
async function whileItWaits({ socket }: ServerResponse, ms: number): Promise<boolean> {
  let there = true;
  const leave = (): void => {
    there = false;
  };
  socket?.once('end', leave).once('close', leave);
  await new Promise((resolve) => setTimeout(resolve, ms));
  socket?.off('end', leave).off('close', leave);
  return there;
}

function lie(): unknown {
  const lies = [
    null,
    {},
    { prompt_tokens: -1_000_000, completion_tokens: -1_000_000 },
    { prompt_tokens: 10_000_000, completion_tokens: 10_000_000 },
    { prompt_tokens: 0, completion_tokens: 0 },
    { prompt_tokens: 'NaN', completion_tokens: 1e300 },
  ];
  return lies[Math.floor(Math.random() * lies.length)];
}

const server = createServer((request, response) => {
  if (request.url === '/bills') {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(Object.fromEntries(bills)));
    return;
  }
  text(request)
    .then((body) => answer(body, response))
    // A caller that was killed while it sent its request.
    .catch(() => response.destroy());
});
server.listen(Number(process.env['HTTP_PORT'] ?? 0), '127.0.0.1', () => {
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  process.stdout.write(`${JSON.stringify({ event: 'http.listening', port })}\n`);
});
