"""The search for lower bounds: whatever it finds is checked by :mod:`convexpoison.certificates`."""
