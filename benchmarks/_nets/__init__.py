"""Networks in the styles in which users of snntorch write them, on digits of 8 x 8 pixels.

case        what a network is tried on
examples    the networks of snntorch's examples
loops       states by hand and loops over time
operations  what may stand between neurons
"""
