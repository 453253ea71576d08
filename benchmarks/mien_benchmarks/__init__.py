"""Measurements of mien: speed beside a yardstick, likeness beside a true swap."""
