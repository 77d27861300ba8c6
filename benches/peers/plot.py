"""Draws how cost grows on each machine: plot.py MEASUREMENTS.json OUT-{}.svg; {} becomes the number of the machine."""

import json
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "performance", "svg.fonttype": "none", "font.size": 9})
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FormatStrFormatter, LogLocator  # noqa: E402

CURVES = {
    "seconds": "audio of an update, s",
    "batch": "utterances of an update",
    "width": "model width",
    "frames": "mel frames generated",
}


def main(measurements, out):
    for number, machine in enumerate(json.load(open(measurements)), 1):
        draw([row for row in machine["rows"] if row["curve"]], out.format(number))


def draw(rows, out):
    """Draws nothing where no curve has been measured."""
    curves = [name for name in CURVES if any(row["curve"][0] == name for row in rows)]
    if not curves:
        return
    figure, axes = plt.subplots(2, len(curves), figsize=(3 * len(curves), 5), squeeze=False, layout="constrained")
    for (time, memory), name in zip(axes.T, curves):
        points = sorted((row for row in rows if row["curve"][0] == name), key=lambda row: row["curve"][1])
        x = [row["curve"][1] for row in points]
        for side, label, style in [("ours", "here", "o-"), ("peer", "PyTorch", "s--")]:
            time.plot(x, [min(row[side]["seconds"]) for row in points], style, label=label)
            memory.plot(x, [row[side]["peak"] / 1e9 for row in points], style, label=label)
        for axis in (time, memory):
            axis.set_xscale("log", base=2)
            axis.set_yscale("log")
            axis.set_xticks(x, [f"{value:g}" for value in x])
            # Numbers on the axis even where the curves stay within one power of ten.
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
            axis.yaxis.set_major_formatter(FormatStrFormatter("%g"))
            axis.minorticks_off()
            axis.grid(alpha=0.3)
        memory.set_xlabel(CURVES[name])
    axes[0][0].set_ylabel("time, s")
    axes[1][0].set_ylabel("peak memory, GB")
    axes[0][0].legend()
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
