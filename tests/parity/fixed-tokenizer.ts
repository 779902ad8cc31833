/** CLIP's ids of the prompts in the file: its vocabulary is not part of this repository. */
const IDS: Readonly<Record<string, readonly number[]>> = {
  '': [],
  'a photo of an astronaut riding a horse on mars': [
    320, 1125, 539, 550, 18376, 6765, 320, 4558, 525, 7496,
  ],
  'blurry, low quality': [21977, 267, 1042, 3027],
};
const [BOS, EOS, LENGTH] = [49406, 49407, 77];

/** Knows the prompts of the golden pipelines and no others. */
export const fixedTokenizer = {
  modelMaxLength: LENGTH,
  encodeForModel(text: string) {
    const ids = new Int32Array(LENGTH).fill(EOS);
    ids.set([BOS, ...IDS[text], EOS]);
    return { ids, dropped: '' };
  },
  tokenOf: (id: number) => `<${id}>`,
};
