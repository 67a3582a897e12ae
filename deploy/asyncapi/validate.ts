/** What the reference parser of AsyncAPI finds wrong with a document. */
import { DiagnosticSeverity, Parser } from '@asyncapi/parser';

/** As a number: the package has the type of it twice, in two versions. */
const ERROR: number = DiagnosticSeverity.Error;

// Making one compiles its rules.
const parser = new Parser();

/** One line per error, with the path in the document; empty for a valid document. Hints of the parser are no errors. */
export async function faultsOf(text: string): Promise<readonly string[]> {
  const { diagnostics, document } = await parser.parse(text);
  const faults = diagnostics
    .filter(({ severity }: { readonly severity: number }) => severity === ERROR)
    .map(({ path, message }) => `${path.join('.')}: ${message}`);
  // Without a document and without a diagnostic nothing was checked.
  return document === undefined && faults.length === 0 ? ['the parser gave no document'] : faults;
}
