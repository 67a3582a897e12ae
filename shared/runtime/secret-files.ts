/** Secrets by file: `NAME_FILE` names a file that holds what `NAME` would. A container's environment is shown to whoever may inspect it; a mounted file is not. */
import { readFileSync } from 'node:fs';

const SECRETS = ['NATS_NKEY_SEED', 'NATS_IDENTITIES', 'OPENAI_API_KEY'] as const;

type Variables = Readonly<Record<string, string | undefined>>;

/** `file` could not be read. */
export interface UnreadableSecret {
  readonly variable: string;
  readonly file: string;
}

/** The environment with each secret that is given by file and not by value. `unreadable` is the first that could not be read. */
export function withSecretFiles(env: Variables): { readonly env: Variables; readonly unreadable?: UnreadableSecret } {
  const filled: Record<string, string | undefined> = { ...env };
  for (const name of SECRETS) {
    const variable = `${name}_FILE`;
    const file = env[variable];
    if (file === undefined || file === '' || (env[name] ?? '') !== '') continue;
    try {
      filled[name] = readFileSync(file, 'utf8').trim();
    } catch {
      return { env, unreadable: { variable, file } };
    }
  }
  return { env: filled };
}
