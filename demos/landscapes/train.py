"""From nothing to the model folder. Each stage reads and writes the work folder:

  python train.py data --work DIR            paint and keep the pictures
  python train.py tokenizer --work DIR
  python train.py vae --work DIR --minutes 20
  python train.py cache-latents --work DIR
  python train.py text --work DIR --minutes 4
  python train.py diffusion --work DIR --minutes 80
  python train.py export --work DIR --out model
  python train.py judge --work DIR --minutes 5
  python train.py evaluate --work DIR --out model
  python train.py sheet --work DIR --out model
  python train.py plot --work DIR
  python train.py card --work DIR

`vae` and `diffusion` go on from their checkpoint when started again; where the work
folder is gone, `diffusion --start model` goes on from the weights of a finished folder.
"""
import argparse
import os

import torch

from training import card, data, diffusion, evaluate, export, judge, loop, plot, text, tokenizer, vae


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["data", "tokenizer", "vae", "cache-latents", "text", "diffusion", "export",
                                          "judge", "evaluate", "sheet", "plot", "card"])
    parser.add_argument("--work", required=True, help="folder for pictures, caches, checkpoints and logs")
    parser.add_argument("--out", default="model", help="the model folder")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="processes in training, threads elsewhere")
    parser.add_argument("--parts", type=int, default=30, help="data, cache-latents: thousands of training pictures")
    parser.add_argument("--count", type=int, default=500, help="evaluate: how many captions")
    parser.add_argument("--only", nargs="+", default=evaluate.PARTS, choices=evaluate.PARTS, help="evaluate: these parts")
    parser.add_argument("--scale", type=float, default=7.5, help="evaluate, sheet: guidance scale")
    parser.add_argument("--again", action="store_true", help="cache-latents: replace them, the encoder having improved")
    parser.add_argument("--decoder", action="store_true", help="vae: go on with the decoder alone")
    parser.add_argument("--fast", action="store_true", help="evaluate, sheet: bf16 instead of float32")
    parser.add_argument("--start", help="diffusion: a model folder to begin from where there is no checkpoint")
    parser.add_argument("--sheet", default="sheet.jpg", help="sheet: where it goes")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    os.makedirs(given.work, exist_ok=True)
    if given.stage == "data":
        folder = os.path.join(given.work, "data")
        data.make(folder, "train", given.parts)
        data.make(folder, "held", 2)
    elif given.stage == "tokenizer":
        tokenizer.train(given.work, given.seed)
    elif given.stage == "vae":
        loop.together(vae.train, given.threads, given.work, given.minutes, given.seed, given.decoder)
    elif given.stage == "cache-latents":
        if given.again or not os.path.exists(os.path.join(given.work, "encoder.pt")):
            vae.freeze(given.work)
        vae.cache(given.work, 1000 * given.parts, given.again)
    elif given.stage == "text":
        loop.together(text.train, given.threads, given.work, given.minutes, tokenizer.load(given.work), given.seed)
    elif given.stage == "diffusion":
        loop.together(diffusion.train, given.threads, given.work, given.minutes, tokenizer.load(given.work), given.seed, given.start)
    elif given.stage == "export":
        print(export.export(given.work, given.out, tokenizer.load(given.work)), "bytes of weights")
    elif given.stage == "judge":
        loop.together(judge.train, given.threads, given.work, given.minutes, given.seed)
    elif given.stage == "evaluate":
        raw = os.path.join(given.work, "model-raw")
        if "raw" in given.only:
            export.export(given.work, raw, tokenizer.load(given.work), averaged=False)
        evaluate.run(given.work, given.out, raw, given.count, given.scale, given.fast, given.only)
    elif given.stage == "sheet":
        evaluate.sheet(given.work, given.out, given.sheet, given.scale, fast=given.fast)
    elif given.stage == "plot":
        plot.curves(given.work, "curves.png")
    elif given.stage == "card":
        card.write(given.work, "README.md")


if __name__ == "__main__":
    main()
