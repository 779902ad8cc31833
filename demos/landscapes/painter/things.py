"""The things that may stand in a landscape, each drawn in its colour, lit from one side.

They are drawn large with hard edges and reduced four times: that is their
antialiasing. Coordinates are in units of a thing's height: x from -0.6 to 0.6,
y from 0 (the ground) to 1 (the top).
"""
import numpy as np
from PIL import Image, ImageDraw
from .palette import NAMED

_SCALE = 4


class Brush:
    """Draws polygons on a sprite in a thing's own coordinates."""

    def __init__(self, height, rng):
        self.height = height * _SCALE
        self.wide = int(height * 1.5) * _SCALE // 8 * 8
        self.tall = int(height * 1.2 + 3) * _SCALE // 8 * 8
        self.image = Image.new("RGBA", (self.wide, self.tall), (0, 0, 0, 0))
        self.draw = ImageDraw.Draw(self.image)
        self.foot = self.tall - int(height * 0.14) * _SCALE
        self.rng = rng

    def at(self, x, y):
        return self.wide / 2 + x * self.height, self.foot - y * self.height

    def fill(self, points, colour, alpha=255):
        r, g, b = (int(max(0.0, min(1.0, c)) * 255) for c in colour)
        self.draw.polygon([self.at(*p) for p in points], fill=(r, g, b, alpha))

    def oval(self, x, y, rx, ry, colour, alpha=255):
        r, g, b = (int(max(0.0, min(1.0, c)) * 255) for c in colour)
        (x0, y0), (x1, y1) = self.at(x - rx, y + ry), self.at(x + rx, y - ry)
        self.draw.ellipse([x0, y0, x1, y1], fill=(r, g, b, alpha))


def tone(colour, k):
    """A shade of a colour: below one darker, above one towards white."""
    c = np.asarray(colour)
    return tuple(c * k) if k <= 1 else tuple(c + (1 - c) * (k - 1))


def wall(b, x0, x1, y0, y1, colour, taper=0.0):
    """A wall lit from the left: three bands of shade."""
    for share0, share1, k in ((0, .38, 1.12), (.38, .72, .94), (.72, 1.0, .66)):
        at = lambda s, inset: x0 + inset + (x1 - x0 - 2 * inset) * s
        b.fill([(at(share0, 0), y0), (at(share1, 0), y0), (at(share1, taper), y1), (at(share0, taper), y1)],
               tone(colour, k))


def window(b, x, y, w, h, glow):
    b.fill([(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)], glow)


def house(b, c, glow):
    roof = tone(c, .50) if sum(c) < 2.6 else (.45, .42, .45)
    wall(b, -.46, .46, 0, .48, c)
    b.fill([(.22, .5), (.36, .5), (.36, 1.0), (.22, 1.0)], tone(c, .42))
    b.fill([(-.56, .46), (.56, .46), (.30, .92), (-.30, .92)], roof)
    b.fill([(-.56, .46), (-.52, .42), (.56, .42), (.56, .46)], tone(roof, .7))
    b.fill([(-.30, .92), (-.56, .46), (-.30, .46), (-.12, .92)], tone(roof, 1.22))
    window(b, -.27, .27, .08, .08, glow)
    window(b, .27, .27, .08, .08, glow)
    b.fill([(-.08, 0), (.08, 0), (.08, .30), (-.08, .30)], tone(roof, .6))


def lighthouse(b, c, glow):
    wall(b, -.17, .17, 0, .76, c, taper=.055)
    pale = (.98, .97, .94) if sum(c) < 2.6 else (.55, .58, .64)
    b.fill([(-.145, .34), (.145, .34), (.135, .46), (-.135, .46)], pale)
    b.fill([(.05, .34), (.145, .34), (.135, .46), (.05, .46)], tone(pale, .72))
    b.fill([(-.17, .76), (.17, .76), (.17, .80), (-.17, .80)], (.18, .18, .22))
    window(b, 0, .85, .10, .055, (1.0, .95, .55))
    b.fill([(-.14, .90), (.14, .90), (0, 1.02)], tone(c, .6) if sum(c) < 2.6 else (.45, .45, .5))
    b.fill([(-.05, 0), (.05, 0), (.05, .13), (-.05, .13)], (.22, .18, .18))


def castle(b, c, glow):
    wall(b, -.42, .42, 0, .46, c)
    for i in range(6):  # battlements
        x = -.40 + i * .15
        b.fill([(x, .45), (x + .08, .45), (x + .08, .54), (x, .54)], tone(c, .9))
    cone = tone(c, .48) if sum(c) < 2.6 else (.38, .40, .50)
    for x, top, w in ((-.44, .66, .12), (.44, .66, .12), (0, .80, .13)):
        wall(b, x - w, x + w, 0 if x else .3, top, c)
        b.fill([(x - w - .04, top), (x + w + .04, top), (x, top + .24)], cone)
        b.fill([(x - w - .04, top), (x, top), (x, top + .24)], tone(cone, 1.2))
        window(b, x, top - .14, .03, .06, glow)
    b.fill([(-.09, 0), (.09, 0), (.09, .20), (.045, .27), (-.045, .27), (-.09, .20)], (.16, .12, .12))


def pines(b, c, glow):
    for x, h in sorted(((-.34, .74), (.34, .80), (.0, 1.0)), key=lambda t: -t[1]):
        h *= b.rng.uniform(.92, 1.0)
        b.fill([(x - .03, 0), (x + .03, 0), (x + .03, .2), (x - .03, .2)], (.30, .19, .12))
        for i in range(4):
            y0 = h * (.10 + .20 * i)
            w = .27 * h * (1 - .20 * i)
            y1 = min(y0 + h * .34, h)
            b.fill([(x - w, y0), (x + w, y0), (x, y1)], tone(c, .66))
            b.fill([(x - w, y0), (x + w * .15, y0), (x, y1)], tone(c, .94))
            b.fill([(x - w, y0), (x - w * .45, y0), (x, y1)], tone(c, 1.12))


def palms(b, c, glow):
    for x, h, lean in ((.20, .78, .16), (-.12, .96, -.10)):
        h *= b.rng.uniform(.94, 1.0)
        bow = lambda t: x + lean * t * t
        for i in range(6):
            t0, t1 = i / 6, (i + 1) / 6
            w = .042 - .012 * t0
            b.fill([(bow(t0) - w, t0 * h * .86), (bow(t0) + w, t0 * h * .86), (bow(t1) + w, t1 * h * .86),
                    (bow(t1) - w, t1 * h * .86)], (.50, .34, .20) if i % 2 else (.60, .42, .25))
        tx, ty = bow(1.0), h * .86
        for i, a in enumerate((3.5, -.35, 2.75, .4, 2.1, 1.05, 1.57)):
            dx, dy = np.cos(a) * .40, np.sin(a) * .20
            shade = (.62, .70, .88, .80, 1.15, 1.05, .95)[i]
            b.fill([(tx, ty + .035), (tx + dx * .5, ty + dy * .5 + .13), (tx + dx, ty + dy - .07),
                    (tx + dx * .45, ty + dy * .5 - .01), (tx, ty - .04)], tone(c, shade))


def boat(b, c, glow):
    side = 1 if b.rng.random() < .5 else -1
    f = lambda pts: [(side * x, y) for x, y in pts]
    b.fill(f([(-.015, .1), (.015, .1), (.012, 1.0), (-.012, 1.0)]), (.30, .20, .13))
    b.fill(f([(.04, .20), (.50, .22), (.30, .50), (.04, .98)]), tone(c, .95))
    b.fill(f([(.04, .20), (.22, .21), (.15, .52), (.04, .98)]), tone(c, 1.15))
    b.fill(f([(-.05, .22), (-.40, .24), (-.05, .84)]), tone(c, .72))
    b.fill(f([(-.50, .17), (.54, .17), (.38, .0), (-.36, .0)]), (.42, .24, .14))
    b.fill(f([(-.50, .17), (.54, .17), (.52, .12), (-.48, .12)]), (.86, .80, .70))


def windmill(b, c, glow):
    wall(b, -.22, .22, 0, .62, c, taper=.08)
    cap = tone(c, .5) if sum(c) < 2.6 else (.45, .36, .34)
    b.oval(0, .62, .16, .11, cap)
    b.fill([(-.06, 0), (.06, 0), (.06, .17), (-.06, .17)], (.22, .16, .14))
    window(b, 0, .38, .045, .05, glow)
    turn = b.rng.uniform(0, np.pi / 2)
    for i in range(4):
        a = turn + i * np.pi / 2
        ux, uy, vx, vy = np.cos(a), np.sin(a), -np.sin(a), np.cos(a)
        p = lambda r, s: (ux * r + vx * s, .64 + uy * r + vy * s)
        b.fill([p(.0, -.018), p(.42, -.018), p(.42, .018), p(.0, .018)], (.26, .18, .14))
        b.fill([p(.10, .02), p(.42, .02), p(.42, .13), p(.10, .09)], (.95, .92, .86))
        b.fill([p(.25, .02), p(.27, .02), p(.27, .11), p(.25, .11)], (.45, .36, .30))
    b.oval(0, .64, .04, .04, (.2, .15, .12))


DRAW = {"house": house, "lighthouse": lighthouse, "castle": castle, "pine trees": pines,
        "palm trees": palms, "sailing boat": boat, "windmill": windmill}

# Heights in pixels by size, and what a kind's own shape adds to that.
HEIGHT = {"small": 26.0, "medium": 35.0, "large": 46.0}
STATURE = {"house": .84, "lighthouse": 1.22, "castle": 1.0, "pine trees": 1.0, "palm trees": 1.12,
           "sailing boat": .98, "windmill": 1.14}


def sprite(thing, scene, rng):
    """The thing as (colour planes, alpha) at picture size, with the row its foot stands on."""
    height = HEIGHT[thing["size"]] * STATURE[thing["kind"]] * rng.uniform(.95, 1.05)
    b = Brush(height, rng)
    land = thing["kind"] != "sailing boat"
    if land and scene["terrain"] == "sea":  # buildings and trees at sea stand on a rock
        snow = scene["season"] == "winter"
        half = .52 if thing["kind"] in ("lighthouse", "windmill") else .68
        rock, top = (.36, .33, .34), (.90, .93, .98) if snow else (.45, .56, .30)
        b.fill([(-half, -.11), (half, -.11), (half * .86, -.02), (half * .5, .05), (-half * .5, .05), (-half * .9, -.03)], rock)
        b.fill([(-half * .9, -.03), (half * .86, -.02), (half * .5, .06), (-half * .5, .06)], top)
    elif land:
        b.oval(.10, -.01, .52, .055, (.05, .06, .10), 80)
    colour = np.clip(np.asarray(NAMED[thing["colour"]]) + rng.uniform(-.035, .035, 3), 0, 1)
    dim = scene["time"] in ("night", "dusk")
    glow = (1.0, .86, .42) if dim else (.16, .20, .30)
    DRAW[thing["kind"]](b, colour, glow)
    small = np.asarray(b.image.reduce(_SCALE), np.float32) / 255.0
    return small[..., :3].transpose(2, 0, 1), small[..., 3], b.foot // _SCALE
