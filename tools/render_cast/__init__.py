"""Renders the portraits of the cast: fictional people from CC0 shapes, procedural skin and hair.

``python -m tools.render_cast --help`` from the root of the repository.
"""
