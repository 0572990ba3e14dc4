"""One module a form of an export, found by its name: what is in its files and how they are written.

The first line of its file says what it is and what reads it. Each declares ``VERSION`` (raised when the files of a
given mix would change), ``SHARDED`` (whether a size of shards has a meaning), ``LOADING`` (how its reader is told of
the folder, for the page of an export), ``look(source)``, which tells what an export would hold and writes nothing, and
``write(source, folder)``, which tells the same after writing the files. Pictures are copied byte for byte. What a form
cannot express is left out, counted and listed, never changed.

``write`` may find files of a run that was killed: a shard or picture that is there whole is left alone.
"""
