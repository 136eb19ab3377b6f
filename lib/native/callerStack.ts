import { KfdError, throwIfAborted, toKfdError } from '../errors.js';

/** The place a public function was called from; native errors are made on other threads and know no JavaScript. */
export interface Caller {
  stack?: string;
}

/** Notes the stack of the public function that calls this; the frames are formatted only if an error needs them. */
export function callerOf(): Caller {
  const caller: Caller = {};
  Error.captureStackTrace(caller, callerOf);
  return caller;
}

/** The error to throw for whatever the addon threw: a KfdError whose stack shows the caller. */
export function withCaller(error: unknown, caller: Caller, signal?: AbortSignal): KfdError {
  let failure = toKfdError(error);
  if (failure.code === 'ERR_KFD_ABORTED' && signal?.aborted === true) failure = abortedError(signal);
  const frames = (caller.stack ?? '').split('\n').slice(1).join('\n');
  failure.stack = `${failure.name} [${failure.code}]: ${failure.message}\n${frames}`;
  return failure;
}

function abortedError(signal: AbortSignal): KfdError {
  try {
    throwIfAborted(signal);
  } catch (error) {
    return toKfdError(error);
  }
  throw new TypeError('abortedError() needs a signal that has fired');
}
