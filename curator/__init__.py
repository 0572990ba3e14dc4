"""What is done to data: pull, clean, relabel, mix, select, report, publish; the command line."""
