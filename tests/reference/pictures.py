"""Writes tests/fixtures/pictures.json.gz: what Pillow and diffusers make of small pictures.

    python tests/reference/pictures.py tests/fixtures/pictures.json.gz
"""

import gzip
import json
import sys

import numpy as np
from diffusers.image_processor import VaeImageProcessor
from PIL import Image, ImageFilter

WIDTH, HEIGHT = 30, 22


def flat(image):
    return np.asarray(image).ravel().tolist()


def texture(width, height, step):
    """A picture that needs no storing: channel c of pixel i is (i² + step·i·(c + 1)) mod 256."""
    i = np.arange(width * height)[:, None]
    return ((i * i + step * i * (np.arange(3) + 1)) % 256).astype(np.uint8).reshape(height, width, 3)


def main(path):
    processor = VaeImageProcessor(vae_scale_factor=8, do_convert_rgb=True)
    image = Image.fromarray(texture(WIDTH, HEIGHT, 3))
    painted = Image.fromarray(texture(24, 24, 5))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:12, 3:15] = 255
    mask[7, 19] = 90
    mask = Image.fromarray(mask)

    sizes = [(24, 24, 0), (24, 24, 4), (32, 16, 2), (16, 32, 30), (64, 32, 20), (512, 512, 3)]
    boxes = [((2, 1, 20, 11), (24, 24)), ((0, 0, 30, 22), (16, 16)), ((1, 0, 9, 22), (24, 16))]
    boxes += [((0, 0, 8, 8), (16, 16)), ((0, 0, 30, 21), (13, 17))]
    soft = mask.filter(ImageFilter.GaussianBlur(2))
    region = VaeImageProcessor.get_crop_region(soft, 24, 24, pad=3)
    whole = image.resize((24, 24), Image.LANCZOS)
    whole_mask = soft.resize((24, 24), Image.LANCZOS)
    result = {
        "width": WIDTH,
        "height": HEIGHT,
        "mask": flat(mask),
        "blurs": [
            {"radius": r, "data": flat(mask.filter(ImageFilter.GaussianBlur(r)))}
            for r in (0.7, 2, 4.5, 30)
        ],
        "regions": [
            {
                "width": w,
                "height": h,
                "padding": pad,
                "region": list(map(int, VaeImageProcessor.get_crop_region(mask, w, h, pad=pad))),
            }
            for w, h, pad in sizes
        ],
        "resizes": [
            {
                "box": box,
                "width": w,
                "height": h,
                "filled": flat(processor.resize(image.crop(box), h, w, resize_mode="fill")),
                "covering": flat(processor.resize(image.crop(box), h, w, resize_mode="crop")),
            }
            for box, (w, h) in boxes
        ],
        "overlay": {
            "blur": 2,
            "padding": 3,
            "cropped": flat(processor.apply_overlay(soft, image, painted, region)),
            "whole": flat(processor.apply_overlay(whole_mask, whole, painted)),
        },
    }
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        file.write(json.dumps(result, separators=(",", ":")).encode())


if __name__ == "__main__":
    main(sys.argv[1])
