"""One module a published row format, found by its name in a card's ``format``.

Each declares ``VERSION`` (raised when its output changes), ``COLUMNS`` (role -> the column's usual name),
``OPTIONAL`` (roles that rows may lack) and ``rows(source)``, which gives a ``RawSample`` or a
``Rejected`` for every row of the source. A card may name columns differently and set ``options``.
"""
