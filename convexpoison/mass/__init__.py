"""The least mass of points that makes a model the victim's own: stationarity, prices, and the programs that bound it.

``stationarity`` says what the poison must balance, ``pricing`` finds the point that pulls most for its mass (``peaks`` and
``sketch`` serve it), ``problem`` puts the two together as a linear program, ``perspective`` as a convex program for smooth
losses, and ``tight`` is the entry.
"""
