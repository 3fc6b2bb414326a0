"""This package inside others: each module needs its own extra, and nothing here imports them."""
