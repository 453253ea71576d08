"""The synthetic studio: short takes of people who do not exist, each with its true swap.

``python -m tools.render_truth --help`` from the root of the repository.
"""
