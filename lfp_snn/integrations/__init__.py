"""Integrations of lfp_snn into other packages; each module needs its own extra."""
