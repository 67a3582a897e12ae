import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contentWords, figuresOf, namesOf, sentencesOf, stem } from '../../../services/model/text.ts';
import { noise, STORM } from './sample.ts';

describe('sentencesOf', () => {
  it('finds sentences across soft line breaks, and joins neither headings nor list items', () => {
    expect(sentencesOf(STORM).map(({ text }) => text.replace(/\s+/g, ' '))).toEqual([
      'The storm of Thursday',
      'A thunderstorm struck the harbour of Lindau on Thursday evening.',
      'It lasted 42 minutes and brought 31 millimetres of rain.',
      'However, nobody was hurt.',
      'The fire brigade under Anna Keller pumped out 17 cellars, e.g. that of the town hall.',
      'Two masts fell on the quay, and the ferry to Rorschach stayed in port until Friday.',
      'The damage is put at 1,200,000 euros.',
      'The harbour master wants new masts by spring.',
      'Will the insurance pay?',
      'The town council meets on Monday to discuss it.',
    ]);
  });

  it('does not end a sentence at a title or an initial', () => {
    expect(sentencesOf('Dr. Smith met J. Doe in Rome. They left.').map(({ text }) => text)).toEqual([
      'Dr. Smith met J. Doe in Rome.',
      'They left.',
    ]);
  });

  it('gives every sentence as it stands in the source, in order and without overlap', () => {
    const part = fc.constantFrom(
      'A b. ',
      'Is it? ',
      '\n',
      '\r\n',
      '\n\n',
      '- item',
      '# head',
      ' e.g. this',
      ' 1,5 ',
      'Ünï ',
      '漢字。',
      '😀',
      '\t',
      '.',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(part, noise(5))), (parts) => {
        const source = parts.join('');
        let last = 0;
        for (const { text, start, end } of sentencesOf(source)) {
          expect(source.slice(start, end)).toBe(text);
          expect(start >= last && end > start).toBe(true);
          last = end;
        }
      }),
    );
  });
});

describe('words, figures and names', () => {
  it.each([
    ['Ferries', 'ferry'],
    ['masts', 'mast'],
    ["council's", 'council'],
    ['glass', 'glass'],
    ['crises', 'crise'],
    ['boxes', 'box'],
    ['is', 'is'],
    ['NATS', 'nat'],
  ])('%s has the stem %s', (word, expected) => {
    expect(stem(word)).toBe(expected);
  });

  it('leaves stopwords out', () => {
    expect(contentWords('The masts that were on the quay')).toEqual(['mast', 'quay']);
  });

  it('normalises figures', () => {
    expect(figuresOf('1,200,000 or 3.5 and 3,5, then 12% in 2031.')).toEqual(['1200000', '3.5', '3.5', '12', '2031']);
  });

  it('takes capitals inside a sentence and acronyms for names, not the beginning of a sentence', () => {
    expect(namesOf('The NATS server ran. JetStream helped Anna Keller.')).toEqual([
      'NATS',
      'JetStream',
      'Anna',
      'Keller',
    ]);
  });
});
