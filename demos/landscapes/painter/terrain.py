"""The ground: five terrains, each a stack of layers that pale with distance."""
import numpy as np
from .canvas import COLUMN, SIZE, X, Y, below, blend, mix, noise, profile, rgb, waves

# Where the far edge of the ground lies, as a share of the height.
HORIZON = {"mountains": .66, "hills": .60, "desert": .60, "sea": .56, "plain": .60}


def _lit(pal, colour, distance=0.0):
    """A ground colour under the hour's light, paled by `distance` towards the haze."""
    return mix(rgb(colour) * pal["light"], pal["haze"], distance)


def _trail(values, line, lean):
    """Carry a value of the ridge line down a slope, leaning sideways: facets of rock and sand."""
    depth = Y - line[None, :]
    index = np.clip(X + depth * lean, 0, SIZE - 1).astype(np.int32)
    return values[index], depth


def _smooth(line, width):
    kernel = np.ones(width, np.float32) / width
    return np.convolve(np.pad(line, width, mode="edge"), kernel, mode="same")[width:-width].astype(np.float32)


def _peaks(rng, count, low, high):
    """Triangular peaks of random heights: what tells a mountain from a hill."""
    line = np.full(SIZE, -1e9, np.float32)
    for place in (np.arange(count) + rng.uniform(0.2, 0.8, count)) / count * SIZE:
        height, slope = rng.uniform(low, high), rng.uniform(0.75, 1.25)
        left = (COLUMN - place) * np.where(COLUMN > place, slope, -slope * rng.uniform(0.8, 1.3))
        line = np.maximum(line, height - left)
    return line


def mountains(image, scene, pal, rng, sun_x):
    base = HORIZON["mountains"] * SIZE
    snowy = scene["weather"] == "snow" or scene["season"] == "winter"
    rough = noise(rng, "grain")
    for far, (low, high, away) in enumerate(((30, 50, .55), (18, 40, .16))):
        ridge = base - np.maximum(_peaks(rng, int(rng.integers(2, 5)) + 1 - far, low, high), 4)
        ridge = ridge + profile(rng, 14, 0.6, 3) * 2.6
        slope = np.gradient(_smooth(ridge, 5))
        facing = np.tanh((slope if sun_x > SIZE / 2 else -slope) * 1.4 + profile(rng, 18, .6, 2) * 0.7)
        shade, depth = _trail(facing, ridge, rng.choice([-1, 1]) * rng.uniform(0.15, 0.5))
        shade = np.clip(shade * 0.5 + 0.5 + rough * 0.10, 0, 1)
        rock = mix(_lit(pal, (.27, .29, .40), away), _lit(pal, (.62, .57, .58), away), shade)
        cover = np.clip((ridge.min() + (26 if snowy else 15) + rough * 1.6 + shade * 7 - Y) * 0.4, 0, 1)
        if snowy:
            cover = np.maximum(cover, 0.55 * (shade > 0.45))
        ice = mix(_lit(pal, (.68, .76, .93), away), _lit(pal, (1.0, 1.0, 1.02), away * 0.7), shade)
        blend(rock, cover, ice)
        mist = np.clip((depth - 8) / 44, 0, 1) * 0.6
        blend(rock, mist, pal["haze"])
        blend(image, below(ridge), rock)
    _meadow(image, scene, pal, rng, base + 2 + waves(rng, 60, 160) * 3, 0.06)


def _meadow(image, scene, pal, rng, line, distance, texture=0.035):
    """A strip of ground in the season's green, darker towards the viewer."""
    high, low = pal["grass"]
    grain = noise(rng, "grain")
    depth = np.clip((Y - line[None, :]) / 42, 0, 1)
    soil = mix(high, low, depth) * (1 + grain * texture + noise(rng, "smooth") * 0.05)
    blend(image, below(line), mix(soil * pal["light"], pal["haze"], distance))


def hills(image, scene, pal, rng, sun_x):
    base = HORIZON["hills"] * SIZE
    high, low = pal["grass"]
    count = 4
    for i in range(count):
        near = i / (count - 1)
        line = base - 13 + i * 11.5 + waves(rng, 46 + 30 * near, 120 + 60 * near, 2) * (9.0 - 2.5 * near)
        slope = np.gradient(line)
        facing, depth = _trail(np.clip((slope if sun_x > SIZE / 2 else -slope) * 1.6, -1, 1), line, 0.25)
        fall = np.clip(depth / 30, 0, 1)
        tone = mix(high, low, np.clip(fall * 0.9 + 0.12 - facing * 0.30, 0, 1))
        tone = tone * (1 + noise(rng, "grain") * 0.032)
        # Hedges and copses: dark specks where the noise is high, on the slope only.
        specks = np.clip((noise(rng, "grain") - 1.45 - (1 - near)) * 2, 0, 1) * (depth > 3)
        blend(tone, specks * 0.25, low * 0.55)
        crest = np.exp(-np.abs(depth - 1.2) * 0.7) * 0.22
        blend(tone, crest, rgb((1.0, .98, .85)))
        blend(image, below(line), mix(tone * pal["light"], pal["haze"], 0.62 * (1 - near) ** 1.3))


def desert(image, scene, pal, rng, sun_x):
    base = HORIZON["desert"] * SIZE
    sand, shadow = rgb((.98, .78, .44)), rgb((.66, .36, .22))
    if scene["weather"] == "snow":
        sand, shadow = mix(sand, rgb((1, 1, 1)), 0.30), mix(shadow, rgb((.7, .72, .85)), 0.25)
    elif scene["season"] == "winter":
        sand = mix(sand, rgb((1, .97, .93)), 0.15)
    if rng.random() < 0.45:  # table mountains far away
        mesa = np.full(SIZE, base, np.float32)
        for _ in range(int(rng.integers(1, 4))):
            x, w, h = rng.uniform(0, SIZE), rng.uniform(8, 20), rng.uniform(7, 15)
            mesa = np.minimum(mesa, base - h * np.clip((w - np.abs(COLUMN - x)) / 3, 0, 1))
        strata = 0.5 + 0.5 * np.sin(Y * 1.1 + noise(rng, "smooth") * 0.6)
        rock = mix(_lit(pal, (.62, .30, .22), .40), _lit(pal, (.80, .46, .30), .40), strata)
        blend(image, below(mesa + profile(rng, 20) * 0.7), rock)
    side = 1.0 if sun_x > SIZE / 2 else -1.0
    for i in range(4):
        near = i / 3
        crest = waves(rng, 55 + 25 * near, 130 + 50 * near, 2)
        line = base - 3 + i * 11 + crest * (6.0 + 1.5 * near)
        # The slip face: below each crest one flank lies in shadow, with a curved sharp edge.
        depth = Y - line[None, :]
        bend = X + side * (depth * (1.0 + 0.5 * near) + waves(rng, 20, 50, 2)[None, :] * 1.5)
        slope = np.gradient(line) * side
        index = np.clip(bend, 0, SIZE - 1).astype(np.int32)
        dark = np.clip(slope[index] * 7 + 0.15, 0, 1) * np.clip(1.25 - depth / 34, 0, 1)
        ripple = np.sin(depth * 1.25 + noise(rng, "smooth") * 2.2) * 0.035 * near
        tone = mix(sand, shadow, dark * 0.80) * (1 + ripple + noise(rng, "grain") * 0.022 - np.clip(depth / 90, 0, .2))
        blend(image, below(line), mix(tone * pal["light"], pal["haze"], 0.42 * (1 - near) ** 1.2))


def sea(image, scene, pal, rng, sun_x):
    base = HORIZON["sea"] * SIZE
    row = int(base)
    if rng.random() < 0.5:  # a far coast
        coast = base - np.maximum(profile(rng, 5) * 7 + rng.uniform(-2, 3), 0)
        blend(image, below(coast), _lit(pal, (.34, .40, .46), .58))
    # Water mirrors the sky, deepened by its own blue, and breaks it into ripples.
    depth = np.clip((Y - base) / (SIZE - base), 0, 1)
    mirror = image[:, np.clip(2 * row - 1 - np.arange(SIZE), 0, SIZE - 1), :]
    mirror = mix(mirror, mirror.mean(2, keepdims=True), 0.6)
    deep = rgb((.04, .30, .44)) * pal["light"]
    water = mix(mirror, deep, 0.34 + 0.34 * depth)
    ripples = noise(rng, "wave")
    strength = 0.022 + 0.05 * depth
    rough = {"rain": 1.25, "snow": 0.9, "fog": 0.6}.get(scene["weather"], 1.0)
    water += ripples * strength * rough * (0.45 + 0.55 * pal["light"].mean())
    if scene["weather"] in ("clear", "cloudy", "fog"):
        width = 3.5 + 15 * depth
        path = np.exp(-((X - sun_x + ripples * 1.5) / width) ** 2) * np.clip(ripples * 1.1 + 0.55, 0, 1)
        share = {"clear": 0.80, "cloudy": 0.40, "fog": 0.25}[scene["weather"]]
        blend(water, path * share, pal["orb"])
    foam = np.clip(noise(rng, "wave") - 2.0, 0, 1) * depth * 0.8
    blend(water, foam, rgb((1, 1, 1)) * mix(pal["light"], rgb((1, 1, 1)), 0.3))
    blend(image, below(np.full(SIZE, row, np.float32)), water)
    if rng.random() < 0.35:  # a beach at the painter's feet
        line = 121 + waves(rng, 60, 150, 2) * 3 + rng.uniform(-3, 3)
        beach = (.93, .95, 1.0) if scene["season"] == "winter" else (.93, .82, .60)
        blend(image, below(line - 1.5), rgb((.95, .97, 1.0)) * pal["light"])
        blend(image, below(line), rgb(beach) * pal["light"] * (1 + noise(rng, "grain") * 0.03))


def plain(image, scene, pal, rng, sun_x):
    base = HORIZON["plain"] * SIZE
    high, low = pal["grass"]
    copse = base - 1.5 - np.maximum(profile(rng, 9, .7, 4) * 3.2, 0)
    blend(image, below(copse), mix(low * 0.62 * pal["light"], pal["haze"], 0.42))
    # Furrows run together at a far point: the field seen in perspective.
    away = np.maximum(Y - base, 0.6)
    point = rng.uniform(-0.3, 1.3) * SIZE
    across = (X - point) / away
    stripe = np.clip(np.sin(across * rng.uniform(3.0, 4.6) + rng.uniform(0, 6)) * 2.2 + noise(rng, "smooth") * .25, -1, 1)
    stripe = stripe * np.clip(away / 9, 0, 1)
    crop = {"spring": (.86, .86, .34), "summer": (.90, .80, .34), "autumn": (.70, .40, .18),
            "winter": (.95, .97, 1.0)}[scene["season"]]
    crop = mix(high, rgb(crop), 0.6)
    soil = mix(low, high, 0.35)
    if scene["season"] == "winter":
        soil = low * rgb((.80, .82, .88))  # bare furrows between ridges of snow
    field = mix(soil, crop, stripe * 0.5 + 0.5)
    depth = np.clip(away / 46, 0, 1)
    field = field * (1.05 - 0.25 * depth) * (1 + noise(rng, "grain") * 0.032 * (0.3 + depth))
    if scene["season"] == "spring":
        bloom = np.clip((noise(rng, "grain") - 1.7) * 2.5, 0, 1) * depth
        petal = [(1., .45, .6), (1., .95, .9), (.75, .5, .95)][int(rng.integers(3))]
        blend(field, bloom * 0.8, rgb(petal))
    blend(image, below(np.full(SIZE, base, np.float32)), mix(field * pal["light"], pal["haze"], 0.5 * (1 - depth) ** 3))


PAINT = dict(mountains=mountains, hills=hills, desert=desert, sea=sea, plain=plain)


def paint_ground(image, scene, pal, rng, sun_x):
    PAINT[scene["terrain"]](image, scene, pal, rng, sun_x)
