import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ownArchive, parseDeb822, parseOneLine } from '../../deploy/bootstrap/apt-source.ts';
import { fetchWithApt } from '../../deploy/bootstrap/fetch-with-apt.ts';
import { type FakeMachine, fakeMachine } from '../support/fake-machine.ts';

const deb822 = `# written by the installer
Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /keys/security.gpg

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
# a comment between fields
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEZ
 -----END PGP PUBLIC KEY BLOCK-----
`;

const oneLine = `# deb http://commented.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb cdrom:[Debian 12]/ bookworm main
deb [arch=amd64 signed-by=/keys/other.gpg] https://packages.example/tool bookworm stable
deb [signed-by=/keys/debian.gpg] http://mirror.example/debian bookworm main contrib # comment
`;

test("the machine's own archive is found among deb822 sources, with its key in place", () => {
  const archive = ownArchive(parseDeb822(deb822), 'bookworm');
  expect(archive?.uri).toBe('http://mirror.example/debian/');
  expect(archive?.signedBy).toBe(
    '\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEZ\n -----END PGP PUBLIC KEY BLOCK-----',
  );
});

test("the machine's own archive is found among one-line sources, with its keyring", () => {
  expect(ownArchive(parseOneLine(oneLine), 'bookworm')).toEqual({
    uri: 'http://mirror.example/debian',
    signedBy: '/keys/debian.gpg',
  });
});

test('another release, and sources that are no network archive, are not taken for it', () => {
  expect(ownArchive([...parseDeb822(deb822), ...parseOneLine(oneLine)], 'trixie')).toBeUndefined();
  expect(
    ownArchive(parseOneLine('deb cdrom:[x]/ trixie main\ndeb file:/srv/debian trixie main'), 'trixie'),
  ).toBeUndefined();
});

const program = { package: 'nats-server', path: 'usr/sbin/nats-server' };
let machine: FakeMachine;

beforeEach(() => {
  machine = fakeMachine();
  machine.command('dpkg', 'case "$1" in --print-architecture) echo amd64;; *) mkdir -p "$3";; esac');
  vi.stubEnv('PATH', join(machine.folder, 'bin'));
});

afterEach(() => {
  vi.unstubAllEnvs();
  machine.remove();
});

/** An apt-get that keeps what it was given and, when `serves` matches the source it reads, downloads a package. */
function aptGet(serves: string): void {
  machine.command(
    'apt-get',
    `echo "$@" >> ${machine.folder}/calls
     parts=
     for word; do case "$word" in Dir::Etc::SourceParts=*) parts=\${word#*=};; esac; done
     case "$1" in
       update) cat "$parts/debian.sources" >> ${machine.folder}/asked
               grep -q '${serves}' "$parts/debian.sources" || { echo 'W: skipped' >&2; echo 'E: not found' >&2; exit 100; };;
       *) echo > "$2"_1_amd64.deb;;
     esac`,
  );
}

function os(id: string): void {
  machine.file('etc/os-release', `PRETTY_NAME="x"\nID=${id}\nVERSION_CODENAME=bookworm\n`);
}

test("on Debian the machine's mirror is asked for the newer suite, under the same key, apart from the machine's apt", () => {
  os('debian');
  machine.file('etc/apt/sources.list', oneLine);
  aptGet('mirror.example');
  const work = join(machine.folder, 'work');
  machine.file('work/.keep', '');

  expect(fetchWithApt(work, program, machine.folder)).toBe(join(work, 'unpacked/usr/sbin/nats-server'));

  const asked = readFileSync(join(machine.folder, 'asked'), 'utf8');
  expect(asked).toContain('URIs: http://mirror.example/debian\nSuites: forky\nComponents: main\n');
  expect(asked).toContain('Signed-By: /keys/debian.gpg\n');
  const calls = readFileSync(join(machine.folder, 'calls'), 'utf8');
  for (const option of ['Dir::State::Lists', 'Dir::State::Status', 'Dir::Cache']) {
    expect(calls).toContain(`${option}=${work}`);
  }
  expect(calls).toContain('Acquire::AllowInsecureRepositories=false');
  expect(calls).not.toMatch(/install|--allow/);
});

test('elsewhere apt is not asked, and says why', () => {
  os('ubuntu');
  machine.file('etc/apt/sources.list', 'deb http://archive.example/ubuntu bookworm main');
  aptGet('archive.example');
  machine.file('work/.keep', '');
  expect(() => fetchWithApt(join(machine.folder, 'work'), program, machine.folder)).toThrow(/no source of Debian main/);
  expect(existsSync(join(machine.folder, 'asked'))).toBe(false);
});

test("apt's own complaint is the reason when it fails", () => {
  os('debian');
  machine.file('etc/apt/sources.list', oneLine);
  aptGet('nowhere');
  machine.file('work/.keep', '');
  machine.file('usr/share/keyrings/debian-archive-keyring.gpg', '');
  expect(() => fetchWithApt(join(machine.folder, 'work'), program, machine.folder)).toThrow(/E: not found/);
  expect(existsSync(join(machine.folder, 'work/unpacked'))).toBe(false);
});
