"""A Hub on the loopback: the dataset hub's HTTP protocol over a folder, for tests and for trying `curator publish`.

`server.py` listens, `routes.py` answers, `storage.py` keeps repositories on disk, `faults.py` makes answers
go wrong on request, `fixtures.py` is the pytest fixture `hub`. Standard library only; binds 127.0.0.1 only.
"""
