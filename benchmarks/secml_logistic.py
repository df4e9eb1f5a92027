"""secml's logistic poisoning, run by an interpreter of its own (it needs numpy < 2); see bench_hypergradients.py.

python secml_logistic.py IN.npz OUT.npz
"""

import sys
import time

import numpy as np
from secml.adv.attacks.poisoning import CAttackPoisoningLogisticRegression
from secml.data import CDataset
from secml.ml.classifiers import CClassifierLogistic


def main(source: str, target: str) -> None:
    given = np.load(source)
    train, held_out = (CDataset(given[f"X{part}"], (given[f"y{part}"] > 0).astype(int)) for part in ("", "_val"))
    victim = CClassifierLogistic(C=float(given["C"]))
    victim.fit(train.X, train.Y)
    attack = CAttackPoisoningLogisticRegression(
        classifier=victim,
        training_data=train,
        val=held_out,
        lb=0,
        ub=1,
        solver_type="pgd",
        solver_params={"eta": 0.25, "max_iter": int(given["iterations"]), "eps": 1e-6},
        init_type="random",
        random_seed=0,
    )
    attack.n_points = int(given["n_points"])
    start = time.process_time()
    found = attack.run(held_out.X, held_out.Y)[2]
    seconds = time.process_time() - start
    labels = np.where(found.Y.tondarray() > 0, 1.0, -1.0)
    np.savez(target, points=found.X.tondarray(), labels=labels, seconds=seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
