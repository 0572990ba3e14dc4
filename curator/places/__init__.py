"""Places where tasks run: one file each, found by its name.

A place module has ``crew(function, place)``, a context manager that gives a ``curator.runner.Crew``: start tasks,
and tell which have ended and how. Who gets what, how often a task is begun again, and what an error means is the
runner's business, so that all places behave alike. Leaving the context stops whatever still runs.
"""
