"""Slow pure-torch twins of the operators, one module a family, the same names.

They are the oracle of the tests and the yardstick of the benchmarks. They run in
float64 as well and are differentiable by autograd alone.
"""
