import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { commands } from '../../lib/cli/commands/index.js';
import { EXIT, exitCodeOf } from '../../lib/cli/exitCodes.js';
import { formatTable } from '../../lib/cli/output.js';
import { ERROR_CODES } from '../../lib/errors.js';
import { packageRoot, packageVersion } from '../../lib/native/config.js';
import { runCli } from './runCli.js';

const FACE = path.join(packageRoot(), 'weights', 'blazeface-256.pt');

/** Every command with the words that call it. */
function everyCommand(): string[][] {
  const first = (command: string | readonly string[] | undefined): string =>
    String(command).split(' ')[0] ?? '';
  return commands.flatMap((group) => [
    [first(group.command)],
    ...(group.subcommands ?? []).map((sub) => [first(group.command), first(sub.command)]),
  ]);
}

describe('command line frame', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'kfd-cli-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  it('--version prints the version alone', async () => {
    assert.deepEqual(await runCli(['--version']), { code: 0, stdout: `${packageVersion()}\n`, stderr: '' });
  });

  it('--help names every command', async () => {
    const { code, stdout } = await runCli(['--help']);
    assert.equal(code, 0);
    for (const [name] of everyCommand()) assert.match(stdout, new RegExp(`kfd-native ${name ?? ''}\\b`));
    assert.match(stdout, /completion/);
  });

  for (const words of everyCommand()) {
    it(`${words.join(' ')} --help prints every option and exits with 0`, async () => {
      const { code, stdout, stderr } = await runCli([...words, '--help']);
      assert.equal(code, 0);
      assert.equal(stderr, '');
      assert.match(stdout, new RegExp(`kfd-native ${words.join(' ')}`));
      assert.ok(!/^\s+--\S+\s+\[/m.test(stdout), 'an option without a description');
    });
  }

  it('completion prints a script that calls the program', async () => {
    const { code, stdout } = await runCli(['completion']);
    assert.equal(code, 0);
    assert.match(stdout, /--get-yargs-completions/);
    const { stdout: offered } = await runCli(['--get-yargs-completions', 'mod']);
    assert.match(offered, /model/);
  });

  it('refuses an option that is given twice, with the usage code', async () => {
    const { code, stderr } = await runCli(['bench', '--seconds', '1', '--seconds', '2']);
    assert.equal(code, EXIT.usage);
    assert.match(stderr, /Expected --seconds once but it was given twice/);
  });

  describe('exit codes', () => {
    const cases: [string, string[], number, RegExp][] = [
      ['no command', [], EXIT.usage, /error: Give a command/],
      ['no subcommand', ['model'], EXIT.usage, /info, verify or manifest/],
      ['a misspelt command', ['docter'], EXIT.usage, /did you mean doctor/],
      ['an unknown option', ['doctor', '--frobnicate'], EXIT.usage, /Unknown argument: frobnicate/],
      ['a missing argument', ['model', 'manifest'], EXIT.usage, /missing argument: file|Not enough/i],
      ['a value out of choice', ['model', 'manifest', 'x.pt', '--kind', 'cat'], EXIT.usage, /kind/],
      ['a number that is none', ['setup', '--jobs', 'many'], EXIT.usage, /--jobs: expected an integer/],
      ['a missing model', ['model', 'info', 'nothing.pt'], EXIT.modelRefused, /No model file at/],
      ['a missing configuration', ['doctor', '--config', 'nothing.json'], EXIT.usage, /nothing\.json/],
    ];
    for (const [name, args, expected, message] of cases) {
      it(`${name}: ${expected}`, async () => {
        const { code, stdout, stderr } = await runCli(args, { cwd: folder });
        assert.equal(code, expected);
        assert.equal(stdout, '');
        assert.match(stderr, message);
        assert.match(stderr, /^error: /);
      });
    }

    it('every error code has one, and 0 is none of them', () => {
      for (const code of ERROR_CODES) assert.ok(exitCodeOf(code) > 0, code);
    });
  });

  it('an error with --json is an object on stdout beside the lines on stderr', async () => {
    const { code, stdout, stderr } = await runCli(['model', 'info', 'nothing.pt', '--json'], { cwd: folder });
    assert.equal(code, EXIT.modelRefused);
    const { schema, error } = JSON.parse(stdout) as { schema: string; error: Record<string, string> };
    assert.equal(schema, 'kfd.error/1');
    assert.equal(error['code'], 'ERR_KFD_MODEL_NOT_FOUND');
    assert.ok(stderr.includes(error['message'] ?? 'none') && stderr.includes(error['hint'] ?? 'none'));
  });

  describe('options from flag, variable, file and default', () => {
    /** Whether `model info --no-load` answers in JSON tells where its option came from. */
    async function asksForJson(args: string[], environment: Record<string, string> = {}): Promise<boolean> {
      const { code, stdout } = await runCli(['model', 'info', FACE, '--no-load', ...args], {
        cwd: folder,
        environment,
      });
      assert.equal(code, 0);
      return stdout.startsWith('{');
    }
    const config = (text: string): void => writeFileSync(path.join(folder, 'kfd.config.json'), text);

    it('the default is the last resort', async () => assert.equal(await asksForJson([]), false));

    it('the file beats the default', async () => {
      config('{"json": true}');
      assert.equal(await asksForJson([]), true);
    });

    it('the variable beats the file', async () => {
      config('{"json": true}');
      assert.equal(await asksForJson([], { KFD_JSON: '0' }), false);
      config('{"json": false}');
      assert.equal(await asksForJson([], { KFD_JSON: '1' }), true);
    });

    it('the flag beats the variable', async () => {
      assert.equal(await asksForJson(['--no-json'], { KFD_JSON: '1' }), false);
    });

    it('a key that no command knows, nested data and broken JSON are refused', async () => {
      for (const [text, message] of [
        ['{"jsno": true}', /"jsno"/],
        ['{"json": {"deep": 1}}', /expected a text, a number, true, false/],
        ['{"json": tru', /Cannot read the configuration/],
        ['[1]', /expected a JSON object/],
      ] as const) {
        config(text);
        const { code, stderr } = await runCli(['model', 'info', FACE, '--no-load'], { cwd: folder });
        assert.equal(code, EXIT.usage, text);
        assert.match(stderr, message);
      }
    });

    it('a key of another command is no mistake', async () => {
      config('{"offline": true}');
      assert.equal(await asksForJson([]), false);
    });
  });

  it('colours follow NO_COLOR and FORCE_COLOR, and a pipe gets none', async () => {
    const escape = String.fromCharCode(27);
    const colored = async (environment: Record<string, string>): Promise<boolean> =>
      (await runCli(['docter'], { environment })).stderr.includes(escape);
    assert.equal(await colored({}), false);
    assert.equal(await colored({ FORCE_COLOR: '1' }), true);
    assert.equal(await colored({ FORCE_COLOR: '1', NO_COLOR: '1' }), false);
  });

  it('a reader that closes stdout early ends the command quietly', async () => {
    const onStart = (child: ChildProcess): void => void child.stdout?.destroy();
    const { code, stderr } = await runCli(['model', 'info', FACE, '--no-load'], { onStart });
    assert.equal(stderr, '');
    assert.equal(code, EXIT.ok);
  });

  it('tables align all columns but the last', () => {
    assert.equal(
      formatTable([
        ['a', 'bb', 'c'],
        ['aaa', 'b', 'cc'],
      ]),
      'a    bb  c\naaa  b   cc',
    );
  });
});
