"""One module a command, found by its name: ``build-mix`` is ``curator.commands.build_mix``.

Each holds one click command called ``command`` whose help ends with an ``Examples:`` block. A module imports
click, ``curator.options``, ``curator.output`` and the standard library at its top, and everything else inside
the command function: ``--help`` must stay instant. It parses, calls one function, and prints.
"""
