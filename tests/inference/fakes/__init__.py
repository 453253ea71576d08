"""Stand-ins for TensorRT, PyCUDA and libcuda, so that their runner is tested without a GPU.

They hold no arithmetic of their own: an engine is the ONNX file itself, run by ONNX Runtime on
memory that pretends to be on a device. ``test_tensorrt_api.py`` checks that they offer no name
that the real bindings lack.
"""
