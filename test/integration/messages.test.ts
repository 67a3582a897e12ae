/** A stranger's messages to agents: answered, refused, and kept. */
import { expect, test } from 'vitest';
import { jsonOf, readStream } from '../support/foreign.ts';
import { ForeignMessage } from '../support/foreign-records.ts';
import { waitUntil } from '../support/wait.ts';
import { meshOfFile } from './mesh.ts';

const mesh = meshOfFile('messages', (open) => Promise.all([open.agent('echo1'), open.agent('echo2')]));
const foreign = () => mesh().foreign;

function envelope(receiver: string, more: object = {}) {
  return {
    id: crypto.randomUUID(),
    sender: 'stranger',
    receiver,
    messageType: 'question',
    content: { text: 'how are you?' },
    timestamp: new Date().toISOString(),
    correlationId: 'talk-1',
    hops: 0,
    ...more,
  };
}

const subject = (receiver: string) => `${mesh().name}.msg.stranger.${receiver}.question`;

async function letters(text: string) {
  const payload = Buffer.from(text).toString('base64');
  return waitUntil('the message is dead-lettered', async () => {
    const found = (await foreign().deadLetters()).filter((letter) => letter.payload === payload);
    return found.length > 0 ? found : undefined;
  });
}

test.for(['echo1', 'echo2', 'echo'])('a message to %s is answered in the inbox of its sender', async (receiver) => {
  const message = envelope(receiver, { goalId: 'some-goal', taskId: 'some-task' });
  const reply = ForeignMessage.parse(
    jsonOf((await foreign().nc.request(subject(receiver), JSON.stringify(message), { timeout: 5_000 })).data),
  );
  expect(reply).toMatchObject({
    receiver: 'stranger',
    correlationId: 'talk-1',
    goalId: 'some-goal',
    taskId: 'some-task',
    hops: 1,
  });
  expect(receiver === 'echo' ? ['echo1', 'echo2'] : [receiver]).toContain(reply.sender);
  expect(reply.id).not.toBe(message.id);
});

test('a message to a capability reaches one agent of it', async () => {
  const answers: string[] = [];
  const inbox = `${mesh().name}.inbox.stranger.once`;
  foreign().nc.subscribe(inbox, {
    callback: (_error, message) => void answers.push((jsonOf(message.data) as ForeignMessage).sender),
  });
  const sent = 10;
  for (let index = 0; index < sent; index += 1)
    foreign().nc.publish(subject('echo'), JSON.stringify(envelope('echo')), { reply: inbox });
  await waitUntil('all are answered', () => answers.length >= sent);
  // What was sent to each of them by name afterwards is answered after anything that is still on its way.
  for (const agentId of ['echo1', 'echo2'])
    await foreign().nc.request(subject(agentId), JSON.stringify(envelope(agentId)));
  expect(answers).toHaveLength(sent);
});

test('a message that asks for no reply is taken without one', async () => {
  const body = JSON.stringify(envelope('echo1'));
  foreign().nc.publish(subject('echo1'), body);
  foreign().nc.publish('$SRV.PING', '');
  await foreign().nc.request(subject('echo1'), JSON.stringify(envelope('echo1')));
  // Refused after both: whatever the first was refused for would stand before it.
  foreign().nc.publish(subject('echo1'), '{"no":"envelope"}');
  await letters('{"no":"envelope"}');
  const payload = Buffer.from(body).toString('base64');
  expect((await foreign().deadLetters()).filter((letter) => letter.payload === payload)).toEqual([]);
  expect(await foreign().services('PING', 2)).toHaveLength(2);
});

test('a message that was passed on too often is refused, one that was passed on 16 times is not', async () => {
  const last = JSON.stringify(envelope('echo1', { hops: 16 }));
  expect(ForeignMessage.parse(jsonOf((await foreign().nc.request(subject('echo1'), last)).data)).hops).toBe(17);
  const tooFar = JSON.stringify(envelope('echo1', { hops: 17, goalId: 'loop' }));
  foreign().nc.publish(subject('echo1'), tooFar);
  expect(await letters(tooFar)).toMatchObject([
    { origin: 'message', subject: subject('echo1'), goalId: 'loop', reason: { code: 'too_many_hops' } },
  ]);
});

test('what is said again and again about one goal is refused, and the reason names who says it to whom', async () => {
  const said = Array.from({ length: 11 }, (_, index) =>
    JSON.stringify(envelope('echo1', { id: `parrot-${index}`, goalId: 'parrot' })),
  );
  for (const body of said) foreign().nc.publish(subject('echo1'), body);
  expect(await letters(said.at(-1) ?? '')).toMatchObject([
    {
      goalId: 'parrot',
      reason: { code: 'repeated_content', message: expect.stringContaining('stranger -> echo1 -> stranger') },
    },
  ]);
  const payload = Buffer.from(said.at(-2) ?? '').toString('base64');
  expect((await foreign().deadLetters()).filter((letter) => letter.payload === payload)).toEqual([]);
});

test('what is no envelope is refused', async () => {
  const { timestamp, ...timeless } = envelope('echo1');
  expect(timestamp).toBeDefined();
  const bodies = [
    '{"id":',
    '[]',
    JSON.stringify(timeless),
    JSON.stringify(envelope('echo1', { hops: -1 })),
    JSON.stringify(envelope('echo1', { correlationId: '' })),
  ];
  for (const body of bodies) foreign().nc.publish(subject('echo1'), body);
  for (const body of bodies)
    expect(await letters(body)).toMatchObject([
      { origin: 'message', reason: { code: expect.stringMatching(/^invalid_/) } },
    ]);
});

test('a sender or receiver that differs from the subject is refused', async () => {
  const bodies = [JSON.stringify(envelope('echo1', { sender: 'echo2' })), JSON.stringify(envelope('echo2'))];
  for (const body of bodies) foreign().nc.publish(subject('echo1'), body);
  for (const body of bodies) expect(await letters(body)).toHaveLength(1);
});

test('a reply aimed anywhere but into the inbox of the sender is refused', async () => {
  const m = mesh().name;
  const targets = [
    `${m}.goals.submit`,
    `${m}.inbox.echo2.x`,
    `${m}.inbox.strangers.x`,
    '$JS.API.STREAM.NAMES',
    `${m}.msg.echo1.echo2.question`,
  ];
  const before = await foreign().unsettled();
  const arrived: string[] = [];
  for (const target of targets)
    foreign().nc.subscribe(target, { callback: (_error, message) => void arrived.push(message.subject) });
  for (const reply of targets) {
    const body = JSON.stringify(envelope('echo1'));
    foreign().nc.publish(subject('echo1'), body, { reply });
    expect(await letters(body)).toMatchObject([
      { reason: { code: 'foreign_reply', message: expect.stringContaining(reply) } },
    ]);
  }
  await foreign().nc.request(subject('echo1'), JSON.stringify(envelope('echo1')));
  expect(arrived).toEqual([]);
  expect(await foreign().unsettled()).toBe(before);
});

test('the log keeps every message as it was sent', async () => {
  const message = envelope('echo1', { correlationId: 'kept' });
  await foreign().nc.request(subject('echo1'), JSON.stringify(message));
  const logged = await waitUntil('it is logged', async () => {
    const all = await readStream(foreign().nc, `${mesh().name}_log`, `${mesh().name}.msg.>`);
    return all.find(({ data }) => new TextDecoder().decode(data) === JSON.stringify(message));
  });
  expect(logged.subject).toBe(subject('echo1'));
});
