"""The alias-free generator, after Karras et al. 2021.

``config``, ``schedule``, ``filters`` and ``layout`` describe it with NumPy; the modules that
draw (``mapping``, ``input_layer``, ``filtered_lrelu``, ``synthesis``, ``generator``) need
PyTorch and are imported by their own names.
"""
