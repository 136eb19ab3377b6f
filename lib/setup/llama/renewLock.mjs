/**
 * Renews npm/package-lock.json after a new version was written into npm/package.json:
 *
 *   node lib/setup/llama/renewLock.mjs
 *
 * Optional packages are taken out of it. They are the binaries for other platforms and processors (730 MB), `setup` never
 * installs them, and a lock that names them cannot be made where a registry carries only some of them.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('npm', import.meta.url));
const work = mkdtempSync(path.join(tmpdir(), 'kfd-lock-'));
try {
  cpSync(path.join(folder, 'package.json'), path.join(work, 'package.json'));
  // without the addresses of the files: the registry that npm is configured for is used (as in the package's own lock)
  const options = [
    '--package-lock-only',
    '--ignore-scripts',
    '--no-audit',
    '--omit-lockfile-registry-resolved',
  ];
  execFileSync('npm', ['install', ...options], { cwd: work, stdio: 'inherit' });
  const lock = JSON.parse(readFileSync(path.join(work, 'package-lock.json'), 'utf8'));
  for (const [name, entry] of Object.entries(lock.packages)) {
    if (entry.optional) delete lock.packages[name];
    delete entry.optionalDependencies;
  }
  writeFileSync(path.join(folder, 'package-lock.json'), `${JSON.stringify(lock, null, 2)}\n`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
