"""Writes random numbers of torch, NumPy and an emulated CUDA as golden JSON: `rng.py OUT`.

Made with torch 2.13 on an x86 CPU with AVX2; other CPUs differ in last bits. Philox is A1111's
emulation (rng_philox.py) in float32.
"""

import gzip
import hashlib
import json
import sys

import numpy as np
import torch

SEEDS = [0, 1, 42, 123456789, 2**32 + 42]
COUNTS = [1, 2, 3, 15, 16, 17, 20, 31, 32, 33, 100]
SHAPES = [[1, 4, 64, 64], [2, 4, 64, 64], [1, 4, 96, 96], [1, 4, 128, 128]]


def generator(seed):
    return torch.Generator("cpu").manual_seed(seed)


def bits(tensor):
    return tensor.numpy().view(np.uint32).tolist()


def hashed(seed, shape):
    values = torch.randn(shape, generator=generator(seed))
    flat = values.flatten()
    return {
        "seed": str(seed),
        "shape": shape,
        "sha256_le_f32": hashlib.sha256(values.numpy().astype("<f4").tobytes()).hexdigest(),
        "first4": flat[:4].tolist(),
        "last4": flat[-4:].tolist(),
    }


def philox_words(seed, count):
    mask = np.uint64(0xFFFFFFFF)
    c = [np.zeros(count, np.uint64), np.zeros(count, np.uint64), np.arange(count, dtype=np.uint64), np.zeros(count, np.uint64)]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        high0, high1 = p0 >> np.uint64(32), p1 >> np.uint64(32)
        c = [high1 ^ c[1] ^ np.uint64(k0), p1 & mask, high0 ^ c[3] ^ np.uint64(k1), p0 & mask]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return [word.astype(np.uint32) for word in c]


def philox_normals(seed, count):
    x, y, _, _ = (word.astype(np.float32) for word in philox_words(seed, count))
    two, pi = np.float32(2.3283064e-10), np.float32(2.3283064e-10 * 6.2831855)
    return np.sqrt(np.float32(-2) * np.log(x * two + two / 2)) * np.sin(y * pi + pi / 2)


def main():
    sequence = generator(42)
    golden = {
        "randn": [{"seed": str(s), "n": n, "u32": bits(torch.randn(n, generator=generator(s)))} for s in SEEDS for n in COUNTS],
        "rand": [{"seed": str(s), "n": 8, "u32": bits(torch.rand(8, generator=generator(s)))} for s in SEEDS],
        "sha": [hashed(seed, shape) for seed in SEEDS for shape in SHAPES],
        "sequence_seed42_3_16_2_64": {name: bits(torch.randn(n, generator=sequence)) for name, n in zip("abcd", (3, 16, 2, 64))},
        "numpy_RandomState_randn": {str(s): np.random.RandomState(s).randn(6).tolist() for s in (0, 42)},
        "philox_cuda_emulated_f32_first8": {str(s): philox_normals(s, 8).tolist() for s in (0, 1, 42)},
        "philox_raw_block_idx0_offset0": {str(s): [int(w[0]) for w in philox_words(s, 1)] for s in (0, 1, 42)},
    }
    text = json.dumps(golden, separators=(",", ":")).encode()
    with open(sys.argv[1], "wb") as file:
        file.write(gzip.compress(text, mtime=0) if sys.argv[1].endswith(".gz") else text)


if __name__ == "__main__":
    main()
