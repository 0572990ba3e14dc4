"""Selection strategies: one file each, found by its name. A strategy is a pure generator.

``decide(study)`` yields waves of runs, is sent their outcomes, and returns a ``Finding``. It knows no torch, no
files and no processes, so it can be replayed from stored scores.
"""
