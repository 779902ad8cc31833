"""Captions: a small grammar over a scene, with synonyms, orders and omissions.

`caption` returns the words and what they say: {"time": "dusk", ...,
"things": [{"kind": ..., "colour": ..., "size": ..., "place": ...}]}, where
what the words leave open is absent. Evaluation asks only for what was said.
"""

TIME = {
    "dawn": ["at dawn", "at sunrise", "at daybreak", "in the early morning", "dawn", "sunrise", "at first light"],
    "noon": ["at noon", "at midday", "noon", "in broad daylight", "in the middle of the day", "by day", "midday"],
    "dusk": ["at dusk", "at sunset", "in the evening", "dusk", "sunset", "at sundown", "in the evening glow"],
    "night": ["at night", "by night", "at midnight", "night", "late at night", "on a dark night", "in moonlight"],
}
WEATHER = {
    "clear": ["clear sky", "under a clear sky", "clear weather", "cloudless", "a cloudless sky", "clear"],
    "cloudy": ["cloudy", "under a cloudy sky", "with clouds", "overcast", "clouds in the sky", "cloudy weather"],
    "rain": ["rain", "in the rain", "rainy", "rain is falling", "a rainy {day}", "in heavy rain", "raining"],
    "snow": ["snow", "in the snow", "snowing", "snow is falling", "snowfall", "a snowy {day}", "in falling snow"],
    "fog": ["fog", "in the fog", "foggy", "misty", "in the mist", "a foggy {day}", "in thick fog"],
}
TERRAIN = {
    "mountains": ["mountains", "the mountains", "a mountain landscape", "high mountains", "mountain peaks", "alps"],
    "hills": ["hills", "the hills", "rolling hills", "a hilly landscape", "gentle hills", "hill country"],
    "desert": ["a desert", "the desert", "sand dunes", "desert dunes", "dunes", "a sandy desert"],
    "sea": ["the sea", "the ocean", "a calm sea", "sea", "the open sea", "a seascape"],
    "plain": ["a plain", "the plain", "flat fields", "a wide plain", "open fields", "farmland"],
}
SEASON = {
    "spring": ["spring", "in spring", "springtime"],
    "summer": ["summer", "in summer", "summertime"],
    "autumn": ["autumn", "in autumn", "fall colours"],
    "winter": ["winter", "in winter", "wintertime"],
}
KIND = {
    "house": ["house", "house", "cottage", "cabin"],
    "lighthouse": ["lighthouse", "lighthouse", "light house", "beacon tower"],
    "castle": ["castle", "castle", "fortress", "chateau"],
    "pine trees": ["pine trees", "pines", "fir trees", "pine trees"],
    "palm trees": ["palm trees", "palms", "palm trees"],
    "sailing boat": ["sailing boat", "sailboat", "boat", "sailing ship"],
    "windmill": ["windmill", "windmill", "mill", "wind mill"],
}
# Words that name no single kind: they leave open what stands there.
VAGUE = {"house": "building", "lighthouse": "building", "castle": "building", "windmill": "building",
         "pine trees": "trees", "palm trees": "trees", "sailing boat": "vessel"}
COLOUR = {
    "red": ["red", "red", "crimson", "scarlet"], "yellow": ["yellow", "yellow", "golden"],
    "green": ["green", "green", "emerald"], "blue": ["blue", "blue", "azure"],
    "purple": ["purple", "purple", "violet"], "white": ["white", "white", "snow-white"],
}
SIZE = {"small": ["small", "little", "tiny"], "medium": [], "large": ["large", "big", "huge"]}
PLACE = {
    "left": ["on the left", "to the left", "at the left", "on the left side"],
    "middle": ["in the middle", "in the centre", "in the center", "at the centre"],
    "right": ["on the right", "to the right", "at the right", "on the right side"],
}
OPENING = ["a painting of", "a picture of", "a landscape with", "painting of", "landscape,", "a scene with"]


def _any(rng, words):
    return words[int(rng.integers(len(words)))]


def _article(words):
    return ("an " if words[0] in "aeiou" else "a ") + words


def _thing(rng, thing, chance):
    said = {}
    kind = _any(rng, KIND[thing["kind"]])
    if rng.random() < 0.07:
        kind = VAGUE[thing["kind"]]
    else:
        said["kind"] = thing["kind"]
    words = kind
    if rng.random() < chance(0.92):
        said["colour"] = thing["colour"]
        colour = _any(rng, COLOUR[thing["colour"]])
        if kind in ("boat", "sailboat", "sailing boat") and rng.random() < 0.25:
            words = f"{kind} with {_article(colour)} sail"
        else:
            words = f"{colour} {kind}"
    if SIZE[thing["size"]] and rng.random() < 0.6:
        said["size"] = thing["size"]
        words = f"{_any(rng, SIZE[thing['size']])} {words}"
    if not words.split(" with ")[0].endswith("s") and rng.random() < 0.85:
        words = _article(words)
    if rng.random() < chance(0.92):
        said["place"] = thing["place"]
        place = _any(rng, PLACE[thing["place"]])
        words = f"{place} {words}" if rng.random() < 0.2 else f"{words} {place}"
    return words, said


def caption(scene, rng):
    """One wording of the scene, and what it says."""
    style = rng.random()
    # One caption in eight is terse: one or two facts. It teaches what a word means alone.
    terse = style < 0.125
    chance = (lambda p: p * 0.5) if terse else (lambda p: p)
    said, back, things = {"things": []}, [], []
    keep = rng.random(4)
    limit = (0.25, 0.25, 0.30, 0.08) if terse else (0.88, 0.88, 0.94, 0.35)
    day = _any(rng, ["day", "landscape", "scene"])
    for name, words, k in (("time", TIME, 0), ("weather", WEATHER, 1), ("terrain", TERRAIN, 2), ("season", SEASON, 3)):
        if keep[k] < limit[k]:
            said[name] = scene[name]
            back.append((name, _any(rng, words[scene[name]]).format(day=day)))
    for thing in scene["things"]:
        if rng.random() < (0.5 if terse else 0.93):
            words, facts = _thing(rng, thing, chance)
            things.append(words)
            said["things"].append(facts)
    if not back and not things:  # something must be said
        said["terrain"] = scene["terrain"]
        back.append(("terrain", _any(rng, TERRAIN[scene["terrain"]])))
    rng.shuffle(things) if len(things) > 1 else None
    foreground = _any(rng, [" and ", ", ", " and ", " with "]).join(things)
    terrain = dict(back).get("terrain")
    rest = [w for n, w in back if n != "terrain"]
    order = rng.permutation(len(rest))
    rest = [rest[i] for i in order]
    if terrain and things:
        link = {"sea": ["on", "in front of", "by"]}.get(scene["terrain"], ["in front of", "in", "with"])
        form = rng.random()
        if form < 0.35:
            core = f"{foreground} {_any(rng, link)} {terrain}"
        elif form < 0.65:
            core = f"{terrain} with {foreground}"
        else:
            core = f"{terrain}, {foreground}" if rng.random() < 0.5 else f"{foreground}, {terrain}"
    else:
        core = terrain or foreground
    parts = [p for p in [core] if p]
    for words in rest:  # background facts go before, after, or straight behind the core
        roll = rng.random()
        if roll < 0.25:
            parts.insert(0, words)
        else:
            parts.append(words)
    if len(parts) > 1 and rng.random() < 0.35:
        text = " ".join(parts)
    else:
        text = ", ".join(parts)
    if rng.random() < 0.15 and not text.startswith(tuple("0123456789,")):
        text = f"{_any(rng, OPENING)} {text}"
    case = rng.random()
    if case < 0.10:
        text = text.upper()
    elif case < 0.40:
        text = text[0].upper() + text[1:]
    if rng.random() < 0.15:
        text += "."
    return text, said
