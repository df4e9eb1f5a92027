"""What a reader sees of a result: pictures, one file a kind, and the table of a notebook.

Nothing here knows the results themselves: it is given numbers and words, so that every result can import it.
"""
