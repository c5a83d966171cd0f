"""RealFusion: a full 360° model of any object from a single image.

The package is layered (imports go downwards only)::

    ops < fields | cameras < rendering | priors | losses | io
        < training | evaluation | prior_training < pipeline < cli

Start reading at `realfusion.pipeline`.
"""

__version__ = "0.1.0"
