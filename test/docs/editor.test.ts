/**
 * What editors show for methods of tensors. They take documentation from where a method is declared, so every method has to
 * lead to the operation, which has to have a docstring.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import * as operations from 'cyclegrad';

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly items?: readonly unknown[] };
  readonly result?: unknown;
}

/** Asks TypeScript's language server for the definitions at positions of a file with this text. */
async function definitionsOf(text: string, characters: readonly number[]): Promise<string[]> {
  const tsc = createRequire(import.meta.url)
    .resolve('typescript/package.json')
    .replace('package.json', 'bin/tsc');
  const server = spawn(process.execPath, [tsc, '--lsp', '--stdio'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const root = new URL('../../', import.meta.url);
  const uri = new URL('test/docs/editor-sample.ts', root).href;
  const answers = new Map<number, (result: unknown) => void>();
  const send = (message: object): void => {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  };
  const request = async (method: string, params: object): Promise<unknown> =>
    new Promise((resolve) => {
      const id = answers.size + 1;
      answers.set(id, resolve);
      send({ id, method, params });
    });
  let received = Buffer.alloc(0);
  server.stdout.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    for (;;) {
      const header = /^Content-Length: (\d+)[^]*?\r\n\r\n/i.exec(received.toString('latin1'));
      if (header === null) return;
      const end = header[0].length + Number(header[1]);
      if (received.length < end) return;
      const message = JSON.parse(received.subarray(header[0].length, end).toString()) as Message;
      received = received.subarray(end);
      // Requests of the server are about settings: there are none.
      if (message.method !== undefined && message.id !== undefined)
        send({ id: message.id, result: message.params?.items?.map(() => null) ?? null });
      else if (message.id !== undefined) answers.get(message.id)?.(message.result);
    }
  });
  try {
    await request('initialize', { processId: process.pid, rootUri: root.href, capabilities: {} });
    send({ method: 'initialized', params: {} });
    const document = { uri, languageId: 'typescript', version: 1, text };
    send({ method: 'textDocument/didOpen', params: { textDocument: document } });
    const found: string[] = [];
    for (const character of characters) {
      const at = { textDocument: { uri }, position: { line: 1, character } };
      // oxlint-disable-next-line no-await-in-loop -- one server
      const [definition] = (await request('textDocument/definition', at)) as readonly {
        readonly uri: string;
        readonly range: { readonly start: { readonly line: number } };
      }[];
      const lines = (await readFile(fileURLToPath(definition.uri), 'utf8')).split('\n'); // oxlint-disable-line no-await-in-loop
      found.push(
        lines.slice(Math.max(0, definition.range.start.line - 1), definition.range.start.line + 1).join('\n'),
      );
    }
    return found;
  } finally {
    server.kill();
  }
}

it('methods lead to documented operations', async () => {
  const names = Object.keys(operations.Tensor.prototype).filter((name) => name in operations);
  expect(names.length).toBeGreaterThan(80);
  const line = names.map((name) => `x.${name};`).join(' ');
  const characters = names.map((name) => line.indexOf(`x.${name};`) + 2);
  const definitions = await definitionsOf(
    `import { tensor } from 'cyclegrad'; const x = tensor(1);\n${line}\n`,
    characters,
  );
  const declarations = names.map((name) => new RegExp(`\\*/\nexport (const|function) ${name}\\b`));
  definitions.forEach((definition, i) => expect(definition).toMatch(declarations[i]));
});
