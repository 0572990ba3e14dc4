"""Writing a mix in the form that a trainer reads: what all forms share. The forms are ``curator/exports``."""
