/** The sequence diagram of `conclave log --mermaid`, read by Mermaid's own parser. */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { sequenceDiagram } from '../../../services/cli/render/mermaid.ts';
import type { LogEntry } from '../../../shared/core/log-entry.ts';
import { goalRun, randomOf } from '../../support/log-run.ts';
import { type MermaidParse, mermaidParser } from '../../support/mermaid-parser.ts';
import { CREATED_AT, CREATED_MS } from '../../unit/cli/records.ts';

describe('the sequence diagram', () => {
  let parse: MermaidParse;
  beforeAll(async () => {
    parse = await mermaidParser();
  }, 120_000);

  const messageOf = (text: string, sender: string): LogEntry => ({
    sequence: 1,
    at: CREATED_MS,
    subject: 'mesh.x',
    kind: 'message',
    record: {
      id: '1',
      sender,
      receiver: 'end',
      messageType: text,
      content: 1,
      timestamp: CREATED_AT,
      correlationId: 'c',
      hops: 0,
    },
  });

  test('is valid for any goal', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 8 }), async (seed, tasks) => {
        const diagram = sequenceDiagram();
        for (const { entry } of goalRun(randomOf(seed), tasks)) diagram.add(entry);
        expect(await parse(diagram.text())).toBe('sequence');
      }),
      { numRuns: 60 },
    );
  });

  test('is valid and says one thing per line whatever agents and models say', async () => {
    const words = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({
        unit: fc.constantFrom(
          ';',
          '#',
          '%%',
          '{',
          '}',
          ':',
          '\n',
          'end',
          '->>',
          'Note over',
          'p0',
          '<b>',
          '"',
          '\\',
          'loop ',
          '%%{init: ',
        ),
      }),
    );
    await fc.assert(
      fc.asyncProperty(words, async (text) => {
        const diagram = sequenceDiagram();
        diagram.add(messageOf(text, 'loop'));
        const drawn = diagram.text();
        expect(await parse(drawn)).toBe('sequence');
        expect(drawn.split('\n')).toHaveLength(4);
      }),
      { numRuns: 300 },
    );
    await expect(parse('sequenceDiagram\n  p0->>: x')).rejects.toThrow(/Parse error/);
  });

  test('of a large goal stays within what renderers take, and says how much is left out', async () => {
    const diagram = sequenceDiagram();
    for (let index = 0; index < 5_000; index += 1) diagram.add(messageOf(`message-${index}`, 'ann'));
    const drawn = diagram.text();
    expect(drawn.length).toBeLessThan(50_000);
    const shown = drawn.match(/->>/g)?.length ?? 0;
    expect(drawn).toContain(`${5_000 - shown} more steps are left out`);
    expect(diagram.text()).toBe(drawn);
    expect(await parse(drawn)).toBe('sequence');
  });
});
