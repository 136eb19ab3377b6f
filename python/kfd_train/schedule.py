"""Learning rate over a run, in minutes, and token windows: warm-up, a long constant stretch, a cool-down at the end.

The constant stretch can be cut or prolonged at will: a run's state before its cool-down (stable.pt) is a start for a longer run.
"""

import math

import numpy as np


def cooling(config: dict, minutes: float) -> float:
    """0 before the cool-down, rising to 1 at the end of the run."""
    duration = config["cool_down_minutes"]
    left = config["minutes"] - minutes
    return min(1.0, max(0.0, 1 - left / duration)) if duration > 0 else 0.0


def rate_factor(config: dict, minutes: float, step: int) -> float:
    """Share of the configured learning rates: linear warm-up over steps, 1, then half a cosine down to 1 %."""
    cosine = 0.5 * (1 + math.cos(math.pi * cooling(config, minutes)))
    return min(1.0, (step + 1) / config["warm_up_steps"]) * (0.01 + 0.99 * cosine)


def draw_window(config: dict, rng: np.random.Generator, grid: int = 16) -> tuple[int, int, int] | None:
    """For `share` of the steps a random square of patches, (row, column, side), at about half the cost; None = the whole picture.

    Windows also work against learning photographs by heart: a cool-down on whole pictures alone raised the training figures and
    lowered those of other people (docs/training.md, run d).
    """
    side, share = config["windows"]["side"], config["windows"]["share"]
    if side >= grid or rng.random() >= share:
        return None
    return int(rng.integers(grid - side + 1)), int(rng.integers(grid - side + 1)), side
