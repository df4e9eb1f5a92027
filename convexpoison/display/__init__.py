"""Presentation of results: plots, one file per kind, and tables for notebooks.

These modules depend on no result class, only on numbers and strings, so that every result can import them.
"""
