import assert from 'node:assert/strict';
import { test } from 'node:test';

interface EmbedOptions {
  readonly attributes: Record<string, string>;
  readonly model: string;
  readonly parent: string | undefined;
  readonly refused: string[];
}
// By variables: the demos are plain JavaScript, without types.
const [options, oembedding] = ['../../demos/embed/options.js', '../../demos/embed/oembed.mjs'];
const { readEmbedOptions, readMessage, exactOrigin } = (await import(options)) as {
  readEmbedOptions(search: string, page: string): EmbedOptions;
  readMessage(data: unknown): unknown;
  exactOrigin(value: string): string | undefined;
};
const { oembed } = (await import(oembedding)) as {
  oembed(query: URLSearchParams, origin: string): Record<string, unknown> | undefined;
};

const PAGE = 'https://frames.example/demos/embed/';
const STANDARD = 'https://frames.example/demos/landscapes/model/';
const read = (query: Record<string, string>) =>
  readEmbedOptions(`?${new URLSearchParams(query)}`, PAGE);

test('good options become attributes', () => {
  const query = { prompt: 'a <b>lake</b> & "more"', steps: '20', 'guidance-scale': '4.5' };
  const more = { seed: '9007199254740991', width: '128', sampler: 'DPM++ 2M Karras' };
  const { attributes, model, parent, refused } = read({
    ...{ ...query, ...more },
    ...{ model: '/models/mine/', parent: 'https://host.example' },
  });
  assert.deepEqual(attributes, { ...query, ...more });
  assert.equal(model, 'https://frames.example/models/mine/');
  assert.equal(parent, 'https://host.example');
  assert.deepEqual(refused, []);
  assert.equal(read({}).model, STANDARD);
});

test('hostile values are left out and named', () => {
  const hostile: [string, string][] = [
    ['steps', '1e9'],
    ['steps', '0x10'],
    ['steps', '-1'],
    ['steps', ' 20'],
    ['steps', '2.5'],
    ['steps', '151'],
    ['steps', '９'],
    ['width', '1000000'],
    ['width', '100'],
    ['guidance-scale', 'Infinity'],
    ['guidance-scale', 'NaN'],
    ['seed', '9007199254740992'],
    ['prompt', 'x'.repeat(2001)],
    ['sampler', '<img src=x onerror=alert(1)>'],
    ['syntax', 'constructor'],
    ['backend', 'reference'],
    ['autorun', ''],
    ['onclick', 'alert(1)'],
    ['style', 'position:fixed'],
    ['src', 'https://evil.example/'],
    ['__proto__', 'x'],
    ['constructor', 'x'],
    ['parent', '*'],
    ['parent', 'null'],
    ['parent', 'https://host.example/'],
    ['parent', 'https://host.example/path'],
    ['parent', 'https://user@host.example'],
    ['parent', 'javascript:alert(1)'],
    ['parent', 'HTTPS://HOST.EXAMPLE'],
    ['parent', 'https://host.example:443'],
  ];
  for (const [name, value] of hostile) {
    const { attributes, model, parent, refused } = read({ [name]: value });
    assert.deepEqual([attributes, model, parent], [{}, STANDARD, undefined], `${name}=${value}`);
    assert.deepEqual(refused, [name], `${name}=${value}`);
  }
  assert.equal(({} as Record<string, unknown>).x, undefined);
});

test('a name that is given twice is refused', () => {
  const { attributes, refused } = readEmbedOptions('?steps=2&steps=3&prompt=a', PAGE);
  assert.deepEqual([attributes, refused], [{ prompt: 'a' }, ['steps']]);
  const parents = '?parent=https://host.example&parent=https://evil.example';
  assert.equal(readEmbedOptions(parents, PAGE).parent, undefined);
});

test('a model comes from the own host and nowhere else', () => {
  const elsewhere = [
    ...['https://evil.example/m/', '//evil.example/m/', '/\\evil.example/', '\\\\evil.example\\'],
    ...['/\t/evil.example/', 'javascript:alert(1)', 'data:application/json,{}', 'm/', ''],
    ...[`blob:${PAGE}0`, '/m/?x=1', '/m/#x', '/m/<script>', '/m/\u202e/', `/${'m'.repeat(600)}`],
  ];
  for (const model of elsewhere) assert.equal(read({ model }).model, STANDARD, model);
  assert.equal(read({ model: '/a/../b/' }).model, 'https://frames.example/b/');
});

test('origins are taken as browsers write them only', () => {
  assert.equal(exactOrigin('http://localhost:8080'), 'http://localhost:8080');
  assert.equal(exactOrigin('file:///etc'), undefined);
  assert.equal(exactOrigin('blob:https://host.example/x'), undefined);
});

test('messages that are none of ours are ignored', () => {
  assert.deepEqual(readMessage({ type: 'prompt', prompt: 'a', more: 1 }), {
    type: 'prompt',
    prompt: 'a',
  });
  assert.deepEqual(readMessage({ type: 'abort' }), { type: 'abort' });
  const bad = [null, undefined, 1, 'generate', [], {}, { type: 'load' }, { type: ['generate'] }];
  const prompts = [1, undefined, {}, 'x'.repeat(2001), 'half \ud83d'];
  for (const data of [...bad, ...prompts.map((prompt) => ({ type: 'prompt', prompt }))])
    assert.equal(readMessage(data), undefined);
});

test('the oEmbed document frames our page, and only it', () => {
  const origin = 'https://frames.example';
  const ask = (query: Record<string, string>) => oembed(new URLSearchParams(query), origin);
  const good = ask({ url: `${PAGE}?prompt="><script>alert(1)</script>&a='`, maxwidth: '300' })!;
  assert.deepEqual([good.version, good.type, good.width], ['1.0', 'rich', 300]);
  assert.match(good.html as string, /^<iframe src="https:[^"<>']*" width="300" [^<>]*><\/iframe>$/);
  for (const url of ['https://evil.example/demos/embed/', `${origin}/`, 'javascript:1', '//evil/'])
    assert.equal(ask({ url }), undefined, url);
  assert.equal(ask({ url: PAGE, format: 'xml' }), undefined);
  assert.equal(ask({ url: PAGE, maxwidth: '1"><b>' })!.width, 544);
});
