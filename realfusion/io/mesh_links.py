"""Parts that hang together by something too thin for the grid.

A stem or a handle thinner than a grid cell falls apart at any threshold, and a mesh of
the largest body alone would lose what hangs on it: one of two cherries, a cup's handle.
Where matter, however thin, leads from one large part to another, it is followed along
its densest route and made as thick as the grid can hold.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

SMALLEST_SHARE = 0.02
"""Volume of a part worth linking, as a share of the largest part's."""
LOWEST_OCCUPANCY = 0.1
"""Occupancy below which there is no matter to follow."""
LINK_OCCUPANCY = 0.95


def link_parts(
    occupancy: Float[np.ndarray, "x y z"],
) -> Float[np.ndarray, "x y z"]:
    """Occupancy in which the large parts are linked where matter leads between them.

    Args:
        occupancy: In [0, 1], above one half inside.

    Returns:
        The same array where nothing is to be linked; parts without such a route (and
        specks) stay apart.
    """
    from scipy import ndimage
    from skimage.graph import MCP_Geometric

    parts, count = ndimage.label(occupancy > 0.5)
    if count < 2:
        return occupancy
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    main = int(np.argmax(sizes))
    large = np.flatnonzero(sizes >= SMALLEST_SHARE * sizes[main])
    others = [int(part) for part in large if part != main]
    if not others:
        return occupancy
    # The square prefers a long way through thin matter to a short one through none.
    costs = 1.0 / np.maximum(occupancy, 1e-3) ** 2
    routes = MCP_Geometric(costs)
    routes.find_costs([_densest_cell(occupancy, parts == main)])
    link = np.zeros(occupancy.shape, bool)
    for part in others:
        route = tuple(
            np.array(routes.traceback(_densest_cell(occupancy, parts == part))).T
        )
        if occupancy[route].min() >= LOWEST_OCCUPANCY:
            link[route] = True
    if not link.any():
        return occupancy
    thick = ndimage.binary_dilation(link, np.ones((3, 3, 3), bool))
    return np.where(thick, np.maximum(occupancy, LINK_OCCUPANCY), occupancy)


def _densest_cell(
    occupancy: Float[np.ndarray, "x y z"], inside: np.ndarray
) -> tuple[int, ...]:
    index = int(np.argmax(np.where(inside, occupancy, -1.0)))
    return tuple(int(i) for i in np.unravel_index(index, occupancy.shape))
