"""Draw the picture of the front page: python docs/draw_bracket.py"""

from pathlib import Path

import convexpoison as cp

digits = cp.datasets.load("digits_17")
victim = cp.Victim("hinge", C_R=0.09)
target = cp.targets.label_flip(victim, digits.train, error=0.15, evaluate=digits.test).model
result = cp.attack(target, digits.train, victim=victim, space=digits.space, test_data=digits.test, eps=0.1)
result.plot()[0].figure.savefig(Path(__file__).parent / "_static" / "bracket.png", dpi=110)
print(result.summary())
