"""The report of a decision: one self-contained page, and its tables and figures as files. See ``page.build_report``."""
