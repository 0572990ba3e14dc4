"""One module a measure that needs a model, found by the name of its filter.

Each has ``prepare(tools)``, which loads the model and gives the function that measures samples: a list of values for
each column, None where the measure does not apply. What a column means is said by ``curator/filters/<name>.py``.
"""
