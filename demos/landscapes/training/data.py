"""Pictures and their scenes, painted once and kept in the work folder.

`pictures.u8` is a flat file of uint8 (n, 128, 128, 3), `scenes.json` says what
each holds. Part k of a split is painted from seed (base + k) whoever paints it,
so the set does not depend on the number of processes.
"""
import json
import os
from multiprocessing import Pool

import numpy as np

from painter import paint, random_scene

PART = 1000
# Held-out scenes come from other seeds than the training scenes.
BASE = {"train": 1_000_000, "held": 9_000_000}


def _part(job):
    folder, split, k = job
    rng = np.random.default_rng(BASE[split] + k)
    scenes = [random_scene(rng) for _ in range(PART)]
    pictures = np.stack([paint(s) for s in scenes])
    out = np.memmap(os.path.join(folder, f"{split}.u8"), np.uint8, "r+", shape=pictures.shape,
                    offset=k * pictures.nbytes)
    out[:] = pictures
    return scenes


def make(folder, split, parts, processes=2):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, f"{split}.u8"), "wb") as f:
        f.truncate(parts * PART * 128 * 128 * 3)
    with Pool(processes) as pool:
        scenes = [s for part in pool.imap(_part, [(folder, split, k) for k in range(parts)]) for s in part]
    with open(os.path.join(folder, f"{split}.json"), "w") as f:
        json.dump(scenes, f)
    return len(scenes)


def load(folder, split):
    with open(os.path.join(folder, f"{split}.json")) as f:
        scenes = json.load(f)
    pictures = np.memmap(os.path.join(folder, f"{split}.u8"), np.uint8, "r", shape=(len(scenes), 128, 128, 3))
    return pictures, scenes
