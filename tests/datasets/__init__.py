"""One golden fixture a card: what its publisher's files look like, and the samples they must become.

``<name>.json`` holds

* ``files``: file in the repository -> its content. ``.json``: the JSON value; ``.jsonl`` and ``.parquet``: a list of
  rows; ``.zip``, ``.tar``, ``.tar.gz``: member -> picture.
* ``images`` (optional): files of the folder that a user gives with ``--images``.
* ``policy`` (optional): ``any`` where the fixture shows rows that cannot be used.
* ``expect``: for each sample, in order: ``source_id``, ``part``, ``category``, ``images`` (sizes), ``turns``.
* ``rejected`` (optional): reason -> rows.

In ``turns`` a picture is ``<image>`` where it stands; the line break that LLaVA writes behind it is not kept.
A picture's file is written ``"40x30 red"``: width, height and colour. Inside a parquet row ``{"picture": "40x30 red"}``
stands for a picture as the Hub embeds it.
"""
