"""One module a filter, found by its name. A filter measures; what a measure must be is said by a recipe.

Each declares ``VERSION`` (raised when a measured value would change), ``COLUMNS`` (name -> ``Column`` with unit,
meaning and direction), ``NEEDS_PICTURES``, ``READS`` (columns of the samples that it looks at, where these are not
the messages: reading the others would cost as much as most measures do), ``LIBRARY`` (import name and extra) if it
needs one that is not always installed, and ``measure(batch)``, which gives one array a column. A null means that the
measure does not apply to the sample (a size without a picture): such a sample stays whatever the bounds are.

A filter that measures with a model declares ``MODEL`` (what to pass) and, where the model is asked questions,
``NEEDS_TEMPLATE``; it has no ``measure``: ``trainers/measures`` has a module of the same name, which a trainer process
runs.
"""
