"""Stage `card`: what was measured, written into the model card between its two marks."""
import json
import os

BEGIN, END = "<!-- measured: written by `train.py card` -->\n", "<!-- end of what was measured -->"
QUESTIONS = (("time", "time of day", 0.90), ("weather", "weather", 0.90), ("terrain", "terrain", 0.90),
             ("thing", "the named thing", 0.80), ("place", "its place", 0.75), ("colour", "its colour", 0.75))


def percent(value):
    return f"{100 * value:.1f} %"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def marks(result):
    return [percent(result[key]) for key, _, _ in QUESTIONS]


def adherence(report):
    got, painted, tripped = report["adherence"], report["judge on painted pictures"], report["judge on round trips"]
    return table(["question", "goal", "measured", "reached", "judge on painted pictures", "on the autoencoder's round trip"],
                 [[name, f"{100 * goal:.0f} %", f"**{percent(got[key])}**", "yes" if got[key] >= goal else "no",
                   percent(painted[key]), percent(tripped[key])] for key, name, goal in QUESTIONS])


def scales(report):
    names = sorted((float(key.rsplit(" ", 1)[1]), key) for key in report if key.startswith("adherence at scale"))
    return table(["guidance scale", "captions", *(name for _, name, _ in QUESTIONS)],
                 [[f"{scale:g}", report[key]["captions"], *marks(report[key])] for scale, key in names])


def text(report):
    got, raw, negative, trip = (report[key] for key in ("adherence", "raw weights", "negative prompt", "vae round trip, dB"))
    return f"""Measured on {got['captions']} captions at guidance {got['scale']:g}:

{adherence(report)}
Guidance works: adherence by scale.

{scales(report)}
The averaged weights, which are the ones here, against the last raw ones, on the same captions:

{table(["weights", "captions", *(name for _, name, _ in QUESTIONS)],
       [["averaged", got["captions"], *marks(got)], ["raw", raw["captions"], *marks(raw)]])}
Squared error of the predicted noise on 256 held-out pictures, by timestep:

{table(["weights", *report["held-out loss"]["raw"]],
       [[name, *(f"{v:.4f}" for v in report["held-out loss"][name].values())] for name in ("averaged", "raw")])}
A negative prompt works: of {negative['prompts']} prompts such as "a building on the left, hills, dusk", which leave open what
building it is, {percent(negative['house_share'])} show a house; with the negative prompt "house",
{percent(negative['house_share_with_negative'])} (goal: a third or less).

Image-to-image, from painted pictures with their own captions: the distance grows with `strength`.

{table(["strength", "mean distance from the input (0 to 1)", "terrain kept", "thing kept", "in its place"],
       [[s, f"{d['distance']:.4f}", percent(d["terrain"]), percent(d["thing"]), percent(d["place"])]
        for s, d in report["strength"].items()])}
Autoencoder round trip, {trip['pictures']} held-out pictures: mean PSNR {trip['mean']:.2f} dB, least {trip['least']:.1f}
({", ".join(f"{w} {trip[w]:.1f}" for w in ("clear", "cloudy", "rain", "snow", "fog"))}).
"""


def write(work, path):
    with open(os.path.join(work, "report.json")) as f:
        report = json.load(f)
    with open(path) as f:
        card = f.read()
    before, rest = card.split(BEGIN)
    after = rest[rest.index(END):]
    with open(path, "w") as f:
        f.write(before + BEGIN + "\n" + text(report) + "\n" + after)
