"""Explanations: what each input event did for an output, and whether such a picture can be trusted.

The engine that trains explains: relevance that enters at the output spikes is sent back through
layers and time, and each input event keeps its share.
"""
