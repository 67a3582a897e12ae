import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { extractFacts, keyTerms } from '../../../services/model/extract.ts';
import { noise, STORM } from './sample.ts';

describe('extractFacts', () => {
  it('quotes the text exactly and stays well below its length', () => {
    const facts = extractFacts(STORM, 'Brief this text');
    expect(facts.length).toBeGreaterThanOrEqual(3);
    for (const { quote } of facts) expect(STORM).toContain(quote);
    expect(facts.map(({ quote }) => quote).join('').length).toBeLessThan(STORM.length * 0.61);
  });

  it('prefers what was asked for', () => {
    const about = (description: string) =>
      extractFacts(STORM, description)
        .map(({ quote }) => quote)
        .join(' ');
    expect(about('What is the damage in euros?')).toContain('1,200,000');
    expect(about('Where is the ferry to Rorschach?')).toContain('Rorschach');
  });

  it('prefers sentences with figures, or with names, when a kind of fact was asked for', () => {
    const quotes = (description: string) => extractFacts(STORM, description).map(({ quote }) => quote);
    const figures = (description: string) => quotes(description).filter((quote) => /\d/.test(quote)).length;
    expect(figures('The figures: x')).toBeGreaterThan(figures('x'));
    expect(quotes('The names: x')).not.toEqual(quotes('The figures: x'));
  });

  it('is the same each time', () => {
    expect(extractFacts(STORM, 'x')).toEqual(extractFacts(STORM, 'x'));
  });

  it('states a fact without line breaks and without a dangling connective', () => {
    const facts = extractFacts('However, the mast\nfell on the quay on Friday.', '');
    expect(facts).toEqual([
      { statement: 'The mast fell on the quay on Friday.', quote: 'However, the mast\nfell on the quay on Friday.' },
    ]);
  });

  it('says nothing twice', () => {
    const twice =
      'The mast fell on the old quay. '.repeat(5) +
      'Rain filled seventeen cellars in the town. Nobody was hurt at the harbour.';
    const quotes = extractFacts(twice, '').map(({ quote }) => quote);
    expect(new Set(quotes).size).toBe(quotes.length);
  });

  it('finds at least one fact in any text with a word, and every quote in the text', () => {
    fc.assert(
      fc.property(noise(100), fc.string(), (before, description) => {
        const text = `${before} word`;
        const facts = extractFacts(text, description);
        expect(facts.length).toBeGreaterThan(0);
        expect(facts.every(({ quote, statement }) => text.includes(quote) && statement !== '')).toBe(true);
      }),
    );
  });
});

describe('keyTerms', () => {
  it('names what a text speaks of most, as it is written', () => {
    expect(keyTerms('Masts fell. The mast of the Ferry broke. Ferry and masts are gone.', 2)).toEqual([
      'Masts',
      'Ferry',
    ]);
  });
});

describe('texts meant to hold it up', () => {
  // Each is fast or takes minutes: the test's timeout judges.
  it.each([
    ['initials', 'A. '.repeat(50_000)],
    ['line breaks', '\n'.repeat(100_000)],
    ['spaces', `x${' '.repeat(100_000)}.`],
    ['bullets', '- '.repeat(50_000)],
    ['digits and commas', '1,'.repeat(50_000)],
    ['one word', 'a'.repeat(100_000)],
    ['short sentences', 'Rain fell. '.repeat(10_000)],
  ])('(%s) are read in time', (_, text) => {
    expect(extractFacts(`${text} word`, 'rain').length).toBeGreaterThan(0);
  });
});
