/** The `accounts` block of a nats-server configuration: users by public key, each with its allow-lists. */
import type { Permissions } from '../../shared/protocol/permissions.ts';

export interface User {
  readonly name: string;
  readonly publicKey: string;
  readonly permissions?: Permissions;
}

/** A text to `include`. One account per mesh, and the system account, in which no mesh has anything to say. */
export function accountsText(mesh: string, users: readonly User[], system: User): string {
  return [
    '# Written by deploy/nats/main.ts from the manifests of the agents. Do not edit: write it again.',
    'accounts {',
    `  ${mesh} {`,
    '    jetstream: enabled',
    '    users: [',
    ...users.map(userText),
    '    ]',
    '  }',
    '  SYS {',
    '    users: [',
    userText(system),
    '    ]',
    '  }',
    '}',
    'system_account: SYS',
    '',
  ].join('\n');
}

function userText({ name, publicKey, permissions }: User): string {
  if (permissions === undefined) return `      # ${name}\n      { nkey: ${publicKey} }`;
  const list = (subjects: readonly string[]): string =>
    [...new Set(subjects)].map((subject) => `\n          ${JSON.stringify(subject)}`).join('');
  return [
    `      # ${name}`,
    `      { nkey: ${publicKey}, permissions: {`,
    `        publish: { allow: [${list(permissions.publish)} ] }`,
    `        subscribe: { allow: [${list(permissions.subscribe)} ] }`,
    '      } }',
  ].join('\n');
}
