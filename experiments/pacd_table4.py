"""PACD's Table 4: certified radius and accuracy of the target class, trained with SmoothAdv on poisoned data.

python experiments/pacd_table4.py --scale paper --data mnist cifar10    (a GPU)
"""

from __future__ import annotations

from pacd_pages import table

PAPER = {
    ("mnist", 0.25): ("0.896±0.01", "99.16±0.45", "0.906±0.01", "99.28±0.16", "0.672±0.04", "93.21±1.92"),
    ("mnist", 0.5): ("1.408±0.05", "99.21±0.25", "1.401±0.02", "98.01±0.18", "1.037±0.06", "93.81±1.31"),
    ("mnist", 0.75): ("1.262±0.05", "95.68±0.47", "1.433±0.03", "97.21±0.13", "0.924±0.06", "88.88±0.18"),
    ("cifar10", 0.25): ("0.504±0.02", "78.76±0.81", "0.441±0.02", "70.16±2.12", "0.271±0.02", "55.78±0.96"),
    ("cifar10", 0.5): ("0.479±0.07", "65.84±4.81", "0.473±0.02", "62.51±2.12", "0.277±0.02", "49.11±3.19"),
}
"""ACR and ACA (%) on clean, watermarked and poisoned data."""

if __name__ == "__main__":
    table("pacd_table4", "smoothadv", "PACD, Table 4: SmoothAdv", PAPER, __doc__ or "")
