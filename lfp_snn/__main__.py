"""``python -m lfp_snn``: the command ``lfp-snn``."""

from lfp_snn.cli import main

if __name__ == "__main__":
    main()
