"""The demo world: pictures and questions with planted truth, in the published shapes of real datasets.

Everything is drawn offline from one seed. Which candidates are good, neutral and bad is known in advance
(``truth.py``), so a selection can be checked against it.
"""
