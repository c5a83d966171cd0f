"""The sections of ``benchmarks/gpu.py``, each run in a process of its own.

A crash, a hang or a lost CUDA context thus ends one section and no other.
"""
