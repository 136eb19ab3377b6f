import { randomBytes } from 'node:crypto';
import { link, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { throwIfAborted } from '../errors.js';
import { systemErrorCode } from './files.js';

/**
 * A lock file for work that must not run twice at once (downloading, building). The owner touches it every few seconds;
 * a lock that nobody touches, or whose owner on this host is gone, is taken over.
 */

const HEARTBEAT_MS = 5_000;
const STALE_MS = 60_000;
const POLL_MS = 250;

export interface LockOptions {
  signal?: AbortSignal | undefined;
  /** Called once when another process holds the lock. */
  onWait?: ((owner: string) => void) | undefined;
}

async function tryCreate(file: string, content: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx', 0o600);
    await handle.writeFile(content).finally(() => handle.close());
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) === 'EPERM';
  }
}

/** The content of a lock that its owner has abandoned; undefined when it is alive or gone. */
async function abandonedContent(file: string): Promise<string | undefined> {
  try {
    const [content, { mtimeMs }] = await Promise.all([readFile(file, 'utf8'), stat(file)]);
    const [pid, host] = content.split(' ');
    const dead = host === hostname() && !isAlive(Number(pid));
    // An empty file is one whose owner is just writing it, or died doing so: only its age tells.
    return (content !== '' && dead) || Date.now() - mtimeMs > STALE_MS ? content : undefined;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Removes an abandoned lock; if another waiter was quicker and the file is a new one, puts that back. */
async function removeAbandoned(file: string, content: string): Promise<void> {
  const aside = `${file}.${randomBytes(4).toString('hex')}`;
  try {
    await rename(file, aside);
    if ((await readFile(aside, 'utf8')) !== content) await link(aside, file);
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes(systemErrorCode(error) ?? '')) throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

/**
 * Runs `work` while holding the lock file, waiting for it as long as its owner lives.
 * @throws KfdError ERR_KFD_ABORTED while waiting; whatever `work` throws
 */
export async function withLock<T>(file: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const content = `${process.pid} ${hostname()} ${randomBytes(8).toString('hex')}`;
  let told = false;
  while (!(await tryCreate(file, content))) {
    throwIfAborted(options.signal);
    const abandoned = await abandonedContent(file);
    if (abandoned !== undefined) {
      await removeAbandoned(file, abandoned);
      continue;
    }
    if (!told) options.onWait?.(await readFile(file, 'utf8').catch(() => ''));
    told = true;
    await sleep(POLL_MS);
  }
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(file, now, now).catch(() => undefined); // gone: the folder was removed under us, `work` will notice
  }, HEARTBEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    if ((await readFile(file, 'utf8').catch(() => '')) === content) await rm(file, { force: true });
  }
}
