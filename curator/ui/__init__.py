"""The local web app of ``curator ui``: a data home to look at, read-only, in a browser of this machine."""
