import fc from 'fast-check';

/** Any string of UTF-16 units, broken characters included. */
export function noise(maxLength: number): fc.Arbitrary<string> {
  return fc.array(fc.nat(0xffff), { maxLength }).map((units) => String.fromCharCode(...units));
}

/** A text with figures, names, an abbreviation, a heading, a list and hard line breaks. */
export const STORM = `# The storm of Thursday

A thunderstorm struck the harbour of Lindau on Thursday evening. It lasted
42 minutes and brought 31 millimetres of rain. However, nobody was hurt.

The fire brigade under Anna Keller pumped out 17 cellars, e.g. that of the
town hall. Two masts fell on the quay, and the ferry to Rorschach stayed in port until Friday.

- The damage is put at 1,200,000 euros.
- The harbour master wants new masts by spring.

Will the insurance pay? The town council meets on Monday to discuss it.
`;
