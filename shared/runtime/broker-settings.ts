/** The settings that say where the broker is and who asks, as agents and the command line take them. */
import { readFileSync } from 'node:fs';

interface Setting {
  /** What it accepts, in words that follow "expected". */
  readonly accepts: string;
  readonly fits: (text: string) => boolean;
}

/** Scheme and user are optional; what the client would only fail to look up, for ever, is refused here. */
const ADDRESS = /^(?:(?:nats|tls):\/\/)?(?:[^\s@/]+@)?(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?$/;
const SEED = /^SU[A-Z2-7]{56}$/;

function isFileWith(mark: string): (path: string) => boolean {
  return (path) => {
    try {
      return readFileSync(path, 'utf8').includes(mark);
    } catch {
      return false;
    }
  };
}

export const BROKER_SETTINGS = {
  NATS_URL: {
    accepts: 'one address nats://host:port, or several separated by commas',
    fits: (text) => text.split(',').every((address) => ADDRESS.test(address.trim())),
  },
  NATS_CA: {
    accepts: "the path of a readable file with the certificate (PEM) of whoever signed the broker's",
    fits: isFileWith('BEGIN CERTIFICATE'),
  },
  NATS_CREDS: {
    accepts: 'the path of a readable credentials file (user JWT and seed)',
    fits: isFileWith('BEGIN NATS USER JWT'),
  },
  NATS_NKEY_SEED: { accepts: 'a user seed: SU and 56 characters A-Z 2-7', fits: (text) => SEED.test(text) },
} as const satisfies Readonly<Record<string, Setting>>;
