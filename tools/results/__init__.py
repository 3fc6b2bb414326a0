"""The tables of ``docs/results.md`` and ``docs/results/``, written from records of measurements.

A record is a small JSON file of ``docs/records``: the command, the machine and its load, the date,
and the figures of every seed. ``docs/records/commands.yaml`` names the command of each. Blocks of
the pages between ``<!-- results: ... -->`` and ``<!-- end of results -->`` hold what the records
say, and nothing else.

    python -m tools.results                          what there is, what lacks, what is typed
    python -m tools.results collect NAME FOLDER ...  keep what a finished command has left
    python -m tools.results measure --root DATA      run what lacks, one after the other
    python -m tools.results render                   write the blocks
"""
