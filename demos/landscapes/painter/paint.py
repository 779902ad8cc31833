"""A scene becomes a picture: sky, ground, far weather, things, near weather."""
import numpy as np
from . import weather
from .canvas import SIZE, mix, noise, rgb
from .palette import palette
from .sky import paint_sky
from .terrain import HORIZON, paint_ground
from .things import sprite

_COLUMN = {"left": .20, "middle": .50, "right": .80}


def _place_thing(image, thing, scene, pal, rng):
    colour, alpha, foot = sprite(thing, scene, rng)
    tall, wide = alpha.shape
    x = int(round(_COLUMN[thing["place"]] * SIZE + rng.uniform(-4, 4))) - wide // 2
    ground = {"mountains": (.80, .90), "hills": (.74, .88), "desert": (.74, .88), "sea": (.70, .86),
              "plain": (.72, .88)}[scene["terrain"]]
    # What is large stands near, so its foot is lower.
    near = {"small": .15, "medium": .5, "large": .85}[thing["size"]] + rng.uniform(-.15, .15)
    row = int(SIZE * mix(ground[0], ground[1], near))
    y = row - foot
    x0, x1, y0, y1 = max(x, 0), min(x + wide, SIZE), max(y, 0), min(y + tall, SIZE)
    cut = (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))
    light = pal["thing_light"]
    lit = colour[(slice(None),) + cut] * light
    mask = alpha[cut]
    region = image[:, y0:y1, x0:x1]
    if scene["terrain"] == "sea":  # the reflection, broken by ripples, comes first
        room = min(SIZE - row, foot)
        flip = slice(foot - 1, foot - 1 - room, -1) if room < foot else slice(foot - 1, None, -1)
        shift = (noise(rng, "wave")[:room, 0] * 1.6).astype(int)
        for i, (line, a) in enumerate(zip(colour[:, flip].transpose(1, 0, 2), alpha[flip])):
            s = x + int(shift[i])
            a0, a1 = max(s, 0), min(s + wide, SIZE)
            m = a[a0 - s:a1 - s] * 0.42 * (1 - i / (foot + 1))
            target = image[:, row + i, a0:a1]
            target += (line[:, a0 - s:a1 - s] * light[:, 0] * 0.8 - target) * m
    region += (lit - region) * mask


def paint(scene):
    """The picture of a scene, uint8 (128, 128, 3). The same scene gives the same picture."""
    rng = np.random.default_rng(scene["seed"])
    pal = palette(scene, rng)
    image, sun_x = paint_sky(scene, pal, rng, HORIZON[scene["terrain"]] * SIZE)
    paint_ground(image, scene, pal, rng, sun_x)
    if scene["weather"] == "fog":
        weather.fog(image, scene, pal, rng)
    for thing in sorted(scene["things"], key=lambda t: ("small", "medium", "large").index(t["size"])):
        _place_thing(image, thing, scene, pal, rng)
    if scene["weather"] == "rain":
        weather.rain(image, scene, pal, rng)
    elif scene["weather"] == "snow":
        weather.snow(image, scene, pal, rng)
    elif scene["weather"] == "fog":
        weather.near_fog(image, scene, pal, rng)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
