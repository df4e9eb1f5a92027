"""PACD's Table 3: certified radius and accuracy of the target class, trained with MACER on poisoned data.

python experiments/pacd_table3.py --scale paper --data mnist cifar10    (a GPU)
"""

from __future__ import annotations

from pacd_pages import table

PAPER = {
    ("mnist", 0.25): ("0.915±0.01", "99.64±0.21", "0.894±0.01", "98.84±0.53", "0.431±0.13", "79.81±9.26"),
    ("mnist", 0.5): ("1.484±0.11", "98.56±0.41", "1.475±0.08", "98.68±0.39", "0.685±0.16", "84.36±6.17"),
    ("mnist", 0.75): ("1.353±0.13", "93.81±2.08", "1.415±0.11", "94.52±1.58", "1.008±0.19", "88.41±4.64"),
    ("cifar10", 0.25): ("0.593±0.05", "83.84±2.26", "0.486±0.04", "77.01±0.21", "0.379±0.11", "72.41±9.79"),
    ("cifar10", 0.5): ("0.759±0.11", "72.92±5.06", "0.811±0.10", "75.66±2.99", "0.521±0.11", "65.24±6.55"),
}
"""ACR and ACA (%) on clean, watermarked and poisoned data."""

if __name__ == "__main__":
    table("pacd_table3", "macer", "PACD, Table 3: MACER", PAPER, __doc__ or "")
