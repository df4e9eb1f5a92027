"""Small tools that know nothing of learning: deadlines, atomic files, integers, array types."""
