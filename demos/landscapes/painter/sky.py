"""The sky: a three-colour gradient, sun or moon with a glow, stars, clouds."""
import numpy as np
from .canvas import SIZE, X, Y, blend, mix, noise, rgb

_UP = Y / SIZE


def gradient(pal, horizon):
    """Top to middle to horizon, smoothly."""
    t = np.clip(Y[:, :1] / horizon, 0, 1)
    t = t[None]
    upper = mix(pal["top"], pal["mid"], np.clip(t / 0.62, 0, 1) ** 1.1)
    lower = np.clip((t - 0.55) / 0.45, 0, 1)
    return mix(upper, pal["low"], lower * lower * (3 - 2 * lower)) + np.zeros((3, SIZE, SIZE), np.float32)


def orb(image, scene, pal, rng, horizon):
    """Sun or moon. Returns its column, which the sea needs for the glitter."""
    time, weather = scene["time"], scene["weather"]
    x = rng.uniform(0.12, 0.88) * SIZE
    height = {"dawn": (.62, .90), "noon": (.14, .32), "dusk": (.70, .96), "night": (.14, .40)}[time]
    y = rng.uniform(*height) * horizon
    radius = {"dawn": 7.0, "noon": 6.5, "dusk": 8.5, "night": 6.0}[time] * rng.uniform(0.9, 1.15)
    clear = {"clear": 1.0, "cloudy": 0.55, "rain": 0.0, "snow": 0.0, "fog": 0.45}[weather]
    d2 = (X - x) ** 2 + (Y - y) ** 2
    glow = {"dawn": .55, "noon": .45, "dusk": .80, "night": .30}[time] * (0.3 + 0.7 * clear)
    spread = {"dawn": 34.0, "noon": 26.0, "dusk": 38.0, "night": 20.0}[time]
    halo = np.exp(d2 * (-1.0 / (2 * spread * spread))) * glow
    image += (pal["orb"] - image) * halo * 0.75
    if clear:
        dist = np.sqrt(d2)
        disc = np.clip(radius - dist + 0.5, 0, 1)
        if time == "night":
            # A crescent: the disc less a disc beside it; the maria are a little noise.
            bite = np.clip(radius * 0.95 - np.sqrt((X - x - rng.choice([-1, 1]) * radius * rng.uniform(.5, 1.6)) ** 2
                                                   + (Y - y + 1.5) ** 2) + 0.5, 0, 1)
            disc = disc * (1 - bite * 0.93)
        blend(image, disc * (0.55 + 0.45 * clear), mix(pal["orb"], rgb((1, 1, 1)), 0.35))
    return x


def stars(image, scene, rng, horizon):
    if scene["time"] != "night" or scene["weather"] not in ("clear", "cloudy"):
        return
    count = 46 if scene["weather"] == "clear" else 14
    ys = (rng.random(count) ** 1.3 * horizon * 0.92).astype(int)
    xs = rng.integers(0, SIZE, count)
    shine = rng.uniform(0.25, 0.95, count).astype(np.float32)
    image[:, ys, xs] += (rgb((.95, .95, 1.0))[:, 0] - image[:, ys, xs]) * shine
    big = rng.random(count) < 0.12
    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        yy, xx = np.clip(ys[big] + dy, 0, SIZE - 1), np.clip(xs[big] + dx, 0, SIZE - 1)
        image[:, yy, xx] += (1.0 - image[:, yy, xx]) * 0.35


def clouds(image, scene, pal, rng, horizon):
    weather = scene["weather"]
    cover = {"clear": -1.0, "cloudy": 0.75, "rain": 1.15, "snow": 0.9, "fog": 0.0}[weather]
    if weather == "clear" and rng.random() < 0.35:
        cover = -0.75  # a wisp or two
    if cover <= -1.0 or weather == "fog":
        return
    field = noise(rng, "cloud") * 0.8
    density = np.clip((field + cover - 0.15) * (1.6 if weather == "cloudy" else 1.1), 0, 1)
    density = density * np.clip((horizon * 1.02 - Y) / (horizon * 0.35), 0, 1)
    density = density * density * (3 - 2 * density)
    # Relief: a billow is bright where it rises above what lies under it.
    relief = np.clip((field - np.roll(field, -4, 0)) * 0.85 + 0.5, 0, 1)
    time = scene["time"]
    if weather in ("clear", "cloudy"):
        bright = {"dawn": (1.0, .86, .82), "noon": (1.0, 1.0, 1.0), "dusk": (1.0, .60, .38),
                  "night": (.34, .40, .58)}[time]
        dark = {"dawn": (.70, .58, .72), "noon": (.66, .73, .83), "dusk": (.38, .18, .34),
                "night": (.09, .12, .23)}[time]
        bright, dark, strength = rgb(bright), rgb(dark), 0.92
    else:
        bright, dark = pal["grey"] * 1.12, pal["grey"] * (0.62 if weather == "rain" else 0.84)
        strength = 0.85
    blend(image, density * strength, mix(dark, bright, relief))


def paint_sky(scene, pal, rng, horizon):
    image = gradient(pal, horizon)
    stars(image, scene, rng, horizon)
    sun_x = orb(image, scene, pal, rng, horizon)
    clouds(image, scene, pal, rng, horizon)
    return image, sun_x
