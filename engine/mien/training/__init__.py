"""Training of mien's own networks; needs the extra ``train``."""
