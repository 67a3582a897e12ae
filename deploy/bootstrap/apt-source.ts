/**
 * The machine's own package sources, as far as they tell where a newer suite of the same archive can be had and which key signs
 * it. Reads both formats: deb822 (`*.sources`) and one line per source (`*.list`).
 */

export interface AptSource {
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** A keyring's path, or a key in place: text as it stands after `Signed-By:`, with its continuation lines. */
  readonly signedBy?: string;
}

export function parseDeb822(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const stanza of text.split(/\n(?:[ \t]*\n)+/)) {
    const fields = stanzaFields(stanza);
    const words = (name: string): readonly string[] => (fields.get(name) ?? '').split(/\s+/).filter(Boolean);
    if (!words('types').includes('deb') || /^(no|false|0|off)$/i.test(fields.get('enabled') ?? '')) continue;
    const signedBy = fields.get('signed-by');
    sources.push({
      uris: words('uris'),
      suites: words('suites'),
      components: words('components'),
      ...(signedBy === undefined ? {} : { signedBy }),
    });
  }
  return sources;
}

export function parseOneLine(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (!match) continue;
    const [, options = '', uri = '', suite = '', components = ''] = match;
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1];
    sources.push({
      uris: [uri],
      suites: [suite],
      components: components.split(/\s+/).filter(Boolean),
      ...(signedBy === undefined ? {} : { signedBy }),
    });
  }
  return sources;
}

export interface Archive {
  readonly uri: string;
  readonly signedBy?: string;
}

/** The archive that serves the machine's own release over HTTP: neither a security archive nor another vendor's. */
export function ownArchive(sources: readonly AptSource[], codename: string): Archive | undefined {
  for (const source of sources) {
    const uri = source.uris.find((candidate) => /^https?:/.test(candidate));
    if (uri === undefined || !source.suites.includes(codename) || !source.components.includes('main')) continue;
    return { uri, ...(source.signedBy === undefined ? {} : { signedBy: source.signedBy }) };
  }
  return undefined;
}

function stanzaFields(stanza: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  let current: string | undefined;
  for (const line of stanza.split('\n')) {
    if (line.startsWith('#')) continue;
    if (/^[ \t]/.test(line) && current !== undefined) {
      fields.set(current, `${fields.get(current) ?? ''}\n${line}`);
      continue;
    }
    const match = /^([A-Za-z-]+):[ \t]*(.*)$/.exec(line);
    current = match?.[1]?.toLowerCase();
    if (current !== undefined) fields.set(current, match?.[2] ?? '');
  }
  return fields;
}
