"""Endless painted landscapes with captions."""
from .scene import random_scene, TIMES, WEATHERS, TERRAINS, SEASONS, KINDS, COLOURS, PLACES, SIZES
from .captions import caption
from .paint import paint
