"""What falls and drifts between the painter and the scene."""
import numpy as np
from .canvas import SIZE, X, Y, blend, mix, noise, rgb


def _streak_field(seed=7, count=900, slant=0.28):
    """Rain is drawn once, as a large tile of slanting streaks, and windowed per picture."""
    rng = np.random.default_rng(seed)
    tile = np.zeros((512, 512), np.float32)
    for _ in range(count * 4):
        length = int(rng.integers(7, 15))
        x, y, shine = rng.uniform(0, 512), rng.integers(0, 512), rng.uniform(.35, 1.0)
        for i in range(length):
            xx = x - i * slant
            c, f = int(np.floor(xx)), xx - np.floor(xx)
            tile[(y + i) % 512, c % 512] += shine * (1 - f)
            tile[(y + i) % 512, (c + 1) % 512] += shine * f
    return np.clip(tile, 0, 1)


_RAIN = _streak_field()


def rain(image, scene, pal, rng):
    blend(image, 0.16 * np.clip(1.1 - Y / SIZE, 0, 1), pal["grey"])
    y, x = rng.integers(0, 512 - SIZE, 2)
    streaks = _RAIN[y:y + SIZE, x:x + SIZE]
    pale = mix(pal["grey"], rgb((.92, .95, 1.0)), 0.42 if scene["time"] == "night" else 0.62)
    blend(image, streaks * 0.27, pale)


def snow(image, scene, pal, rng):
    flakes = np.zeros((SIZE, SIZE), np.float32)
    # Three depths: faint dust, plain flakes, a few large soft ones. Sharp specks in
    # their hundreds would look no better and no small autoencoder could keep them.
    for count, radius, shine in ((50, .70, .25), (20, 1.45, .75), (14, 2.3, .85)):
        xs, ys = rng.uniform(0, SIZE, count), rng.uniform(0, SIZE, count)
        reach = int(np.ceil(radius + 0.8))
        gx, gy = xs.astype(int), ys.astype(int)
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                px, py = gx + dx, gy + dy
                inside = (px >= 0) & (px < SIZE) & (py >= 0) & (py < SIZE)
                dist = np.hypot(px - xs + .5, py - ys + .5)
                value = np.clip((radius - dist) * 0.7 + 0.5, 0, 1) * shine
                np.maximum.at(flakes, (py[inside], px[inside]), value[inside].astype(np.float32))
    white = mix(pal["light"], rgb((1, 1, 1)), 0.72)
    blend(image, 0.07 + 0 * Y, pal["grey"])
    blend(image, flakes, np.minimum(white, 1))


def fog(image, scene, pal, rng):
    """A veil that is thickest at the horizon and drifts in banks; the foreground stays readable."""
    veil = mix(pal["grey"], pal["low"], 0.35)
    if scene["time"] != "night":
        veil = mix(veil, rgb((1, 1, 1)), 0.16)
    else:
        veil = veil * 1.25
    height = Y / SIZE
    thick = 0.40 + 0.26 * np.exp(-((height - 0.50) / 0.16) ** 2) - 0.20 * np.clip(height - .7, 0, 1)
    drift = noise(rng, "veil") * 0.10
    if scene["time"] == "night":
        thick = thick * 0.78  # there is less contrast to hide
    blend(image, np.clip(thick + drift, 0, 0.93), veil)


def near_fog(image, scene, pal, rng):
    veil = mix(pal["grey"], pal["low"], 0.35)
    drift = np.clip(0.13 + noise(rng, "veil") * 0.08, 0, 0.4)
    blend(image, drift, veil * (1.0 if scene["time"] != "night" else 1.2))
