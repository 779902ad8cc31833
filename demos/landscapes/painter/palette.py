"""Colours: of the four times of day, the seasons, and the named colours of things."""
import numpy as np
from .canvas import rgb, mix

# top, middle and horizon of the sky; the sun or moon; the light on the ground;
# and the grey that clouds, rain, snow and fog take at that hour.
TIMES = {
    "dawn": dict(top=(.55, .60, .88), mid=(.95, .70, .78), low=(1.0, .88, .68), orb=(1.0, .93, .74),
                 light=(1.0, .84, .84), grey=(.80, .68, .75)),
    "noon": dict(top=(.16, .44, .87), mid=(.44, .70, .96), low=(.80, .92, .99), orb=(1.0, .99, .86),
                 light=(1.02, 1.02, .98), grey=(.68, .74, .79)),
    "dusk": dict(top=(.20, .11, .37), mid=(.74, .25, .35), low=(1.0, .55, .16), orb=(1.0, .66, .26),
                 light=(.70, .46, .42), grey=(.52, .31, .33)),
    "night": dict(top=(.01, .03, .12), mid=(.05, .09, .26), low=(.13, .21, .42), orb=(.95, .96, .88),
                  light=(.33, .41, .66), grey=(.11, .14, .25)),
}

GRASS = {
    "spring": ((.56, .78, .36), (.36, .62, .27)),
    "summer": ((.38, .62, .22), (.20, .44, .16)),
    "autumn": ((.82, .58, .22), (.58, .34, .13)),
    "winter": ((.84, .88, .93), (.62, .69, .78)),
}

NAMED = {
    "red": (.88, .13, .12), "yellow": (.98, .83, .12), "green": (.12, .62, .22),
    "blue": (.12, .33, .90), "purple": (.58, .16, .72), "white": (.97, .97, .97),
}


def jitter(rng, colour, amount=0.03):
    return np.clip(np.asarray(colour, np.float32) + rng.uniform(-amount, amount, 3).astype(np.float32), 0, 1.05)


def palette(scene, rng):
    """The colours of one picture: the hour's, dulled by the weather."""
    base = {k: rgb(jitter(rng, v)) for k, v in TIMES[scene["time"]].items()}
    dull, light = {"clear": (0.0, 1.0), "cloudy": (0.30, 0.93), "rain": (0.62, 0.80),
                   "snow": (0.55, 0.97), "fog": (0.55, 0.96)}[scene["weather"]]
    grey = base["grey"]
    if scene["weather"] == "rain":
        grey = grey * rgb((.74, .78, .84))
    if scene["weather"] == "snow":
        grey = mix(grey, rgb((.95, .97, 1.0)), 0.10 if scene["time"] == "night" else 0.25)
    out = dict(base)
    for part, share in (("top", 1.0), ("mid", 0.9), ("low", 0.55)):
        out[part] = mix(base[part], grey, dull * share)
    out["grey"] = grey
    out["light"] = base["light"] * light
    out["haze"] = mix(out["low"], out["mid"], 0.45)
    # Things keep enough of their own colour to be named, even at night.
    out["thing_light"] = mix(out["light"], rgb((1, 1, 1)), 0.50)
    top, low = GRASS[scene["season"]]
    if scene["weather"] == "snow":
        top, low = (.95, .96, 1.0), (.74, .80, .90)
    out["grass"] = rgb(jitter(rng, top, 0.04)), rgb(jitter(rng, low, 0.04))
    return out
