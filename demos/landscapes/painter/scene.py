"""What a picture contains, before anything is drawn: plain words and a seed."""

TIMES = ["dawn", "noon", "dusk", "night"]
WEATHERS = ["clear", "cloudy", "rain", "snow", "fog"]
TERRAINS = ["mountains", "hills", "desert", "sea", "plain"]
SEASONS = ["spring", "summer", "autumn", "winter"]
KINDS = ["house", "lighthouse", "castle", "pine trees", "palm trees", "sailing boat", "windmill"]
COLOURS = ["red", "yellow", "green", "blue", "purple", "white"]
PLACES = ["left", "middle", "right"]
SIZES = ["small", "medium", "large"]

# Houses are the commonest thing, as they are in the world; the boat needs the
# sea, so it is drawn more often there than its weight here says.
KIND_WEIGHTS = [1.3, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0]
KIND_WEIGHTS_SEA = [1.0, 1.3, 0.8, 0.5, 0.9, 3.0, 0.6]


def _pick(rng, words, weights=None):
    if weights is None:
        return words[int(rng.integers(len(words)))]
    total = sum(weights)
    roll = rng.random() * total
    for word, weight in zip(words, weights):
        roll -= weight
        if roll < 0:
            return word
    return words[-1]


def random_scene(rng):
    """One scene as a dictionary. `rng` is a numpy Generator."""
    weather = _pick(rng, WEATHERS)
    terrain = _pick(rng, TERRAINS)
    # Falling snow means winter; everything else may happen in any season.
    season = "winter" if weather == "snow" else _pick(rng, SEASONS, [1.2, 1.2, 1.2, 0.7])
    count = _pick(rng, [0, 1, 2], [0.12, 0.58, 0.30])
    weights = list(KIND_WEIGHTS_SEA if terrain == "sea" else KIND_WEIGHTS)
    places = list(PLACES)
    things = []
    for _ in range(count):
        kind = _pick(rng, KINDS, weights)
        weights[KINDS.index(kind)] = 0.0  # two things are two kinds
        place = places.pop(int(rng.integers(len(places))))
        # Trees are mostly green, yet any colour a painter likes is allowed.
        tree = kind in ("pine trees", "palm trees")
        colour = "green" if tree and rng.random() < 0.3 else _pick(rng, COLOURS)
        things.append(dict(kind=kind, colour=colour, size=_pick(rng, SIZES), place=place))
    # Neighbours are not both given room to hide each other.
    if count == 2 and "middle" in (things[0]["place"], things[1]["place"]):
        for thing in things:
            if thing["size"] == "large":
                thing["size"] = "medium"
    return dict(time=_pick(rng, TIMES), weather=weather, terrain=terrain, season=season,
                things=things, seed=int(rng.integers(2**31)))
