"""The canvas: float planes, soft masks and a bank of noise.

Pictures are painted at their final size. Edges are antialiased by soft masks
(one pixel of ramp), which costs a sixteenth of what painting at four times the
size would. Noise is filtered once into large tiles; a picture takes random
windows of them, so texture costs a copy and not a transform.
"""
import numpy as np

SIZE = 128
Y, X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
COLUMN = np.arange(SIZE, dtype=np.float32)
_TILE = 512


def _tile(seed, slope, stretch=1.0, low=0.0):
    """A periodic noise tile with a 1/f**slope spectrum, `stretch` times wider than tall."""
    rng = np.random.default_rng(seed)
    fy = np.fft.fftfreq(_TILE)[:, None] * _TILE
    fx = np.fft.rfftfreq(_TILE)[None, :] * _TILE * stretch
    f = np.sqrt(fx * fx + fy * fy)
    gain = np.where(f > low, 1.0 / np.maximum(f, 1.0) ** slope, 0.0)
    spectrum = np.fft.rfft2(rng.standard_normal((_TILE, _TILE))) * gain
    tile = np.fft.irfft2(spectrum, s=(_TILE, _TILE))
    tile -= tile.mean()
    return (tile / tile.std()).astype(np.float32)


BANK = dict(
    smooth=_tile(1, 1.9, 1.0, 3.0),   # large soft forms
    cloud=_tile(2, 2.1, 2.2, 4.0),   # wide billows
    grain=_tile(3, 1.35, 1.0, 12.0),   # brushwork
    wave=_tile(4, 1.6, 6.0, 22.0),    # ripples seen from the shore
    veil=_tile(5, 1.9, 4.0, 4.0),     # banks of fog
)


def noise(rng, kind):
    """A picture-sized window of a noise tile: zero mean, unit deviation over the tile."""
    y, x = rng.integers(0, _TILE - SIZE, 2)
    window = BANK[kind][y:y + SIZE, x:x + SIZE]
    return window[:, ::-1] if rng.random() < 0.5 else window


def profile(rng, knots, rough=0.5, octaves=4):
    """A ridge line over the columns, about -1..1: interpolated random knots in octaves."""
    line = np.zeros(SIZE, np.float32)
    gain, total = 1.0, 0.0
    for _ in range(octaves):
        heights = rng.uniform(-1, 1, knots + 3)
        at = (COLUMN / SIZE) * knots + rng.random()
        line += gain * np.interp(at, np.arange(knots + 3), heights).astype(np.float32)
        total += gain
        gain *= rough
        knots *= 2
    return line / total * 1.5


def waves(rng, low, high, count=3):
    """A smooth ridge line: a few sines whose wavelengths lie between low and high columns."""
    line = np.zeros(SIZE, np.float32)
    for _ in range(count):
        length = rng.uniform(low, high)
        line += rng.uniform(0.5, 1.0) * np.sin(COLUMN * (2 * np.pi / length) + rng.uniform(0, 6.283))
    return line / count


def rgb(colour):
    return np.asarray(colour, np.float32).reshape(3, 1, 1)


def mix(a, b, t):
    return a + (b - a) * t


def blend(image, mask, colour):
    """Lay `colour` (3,1,1) or (3,H,W) over the image where the mask (H,W) says so, in place."""
    image += (colour - image) * mask


def below(line):
    """The soft mask of everything below a ridge line."""
    return np.clip(Y - line[None, :] + 0.5, 0.0, 1.0)
