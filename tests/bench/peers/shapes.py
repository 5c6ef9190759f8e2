"""What every contestant is given: pictures, a Chow-Liu tree, and circuits as plain lists ("plans").

A plan is a list of regions, children first, the last one the root. A region multiplies, node by node, the inputs of the
variables in ``vars`` and the regions in ``below``; with ``sum``, a dense sum stands on that product. The root sums to
one node.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SIDE = 28
VARIABLES = SIDE * SIDE
CATEGORIES = 256

Plan = list[dict[str, object]]


def pictures(count: int, seed: int) -> npt.NDArray[np.int64]:
    """Grey pictures ``[count, 784]`` of four soft blobs and noise: neighbours are correlated, as in photographs."""
    random = np.random.RandomState(seed)
    row, column = np.mgrid[0:SIDE, 0:SIDE]
    light = np.zeros((count, SIDE, SIDE), np.float32)
    for _ in range(4):
        y, x = random.uniform(4, 24, (2, count, 1, 1))
        width = random.uniform(1.5, 5, (count, 1, 1))
        light = np.maximum(light, np.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * width**2)))
    noisy = 255 * light + random.normal(0, 6, light.shape)
    return np.clip(noisy, 0, 255).astype(np.int64).reshape(count, VARIABLES)


def chow_liu(data: npt.NDArray[np.int64], root: int = VARIABLES // 2 + SIDE // 2, bins: int = 4) -> list[int]:
    """Parent of every variable (−1 at the root) in the tree of greatest mutual information (Chow and Liu 1968)."""
    count, variables = data.shape
    hot = np.eye(bins, dtype=np.float32)[data * bins // CATEGORIES].reshape(count, -1)
    smooth = 0.01
    joint = (hot.T @ hot + smooth).reshape(variables, bins, variables, bins) / (count + smooth * bins * bins)
    single = (hot.sum(0) + smooth * bins).reshape(variables, bins) / (count + smooth * bins * bins)
    information = np.einsum("aibj,aibj->ab", joint, np.log(joint))
    entropy = np.einsum("aibj,ai->ab", joint, np.log(single))
    information -= entropy + entropy.T
    # Prim's algorithm: `best[v]` is the strongest link from the tree so far to v.
    parent = [-1] * variables
    best, link = information[root].copy(), np.full(variables, root)
    best[root] = -np.inf
    for _ in range(variables - 1):
        new = int(best.argmax())
        parent[new] = int(link[new])
        closer = (information[new] > best) & (best > -np.inf)
        best[closer], link[closer] = information[new][closer], new
        best[new] = -np.inf
    return parent


def hclt_plan(parent: list[int]) -> Plan:
    """Hidden Chow-Liu tree: variables without children hang directly on their parent's product."""
    children: list[list[int]] = [[] for _ in parent]
    for v, p in enumerate(parent):
        if p >= 0:
            children[p].append(v)
    order = [parent.index(-1)]
    for v in order:
        order += children[v]
    plan: Plan = []
    place: dict[int, int] = {}
    for v in reversed(order):
        if children[v]:
            leaves = [c for c in children[v] if not children[c]]
            below = [place[c] for c in children[v] if children[c]]
            place[v] = len(plan)
            plan.append({"vars": [v, *leaves], "below": below, "sum": True})
    return plan


def random_tree_plan(depth: int = 9, seed: int = 42) -> Plan:
    """Variables shuffled and halved ``depth`` times; sums on every region but the last halves."""
    plan: Plan = []

    def grow(variables: list[int], levels: int) -> int:
        if levels == 0 or len(variables) < 2:
            plan.append({"vars": variables, "below": [], "sum": False})
        else:
            middle = (len(variables) + 1) // 2
            below = [grow(variables[:middle], levels - 1), grow(variables[middle:], levels - 1)]
            plan.append({"vars": [], "below": below, "sum": True})
        return len(plan) - 1

    grow(np.random.RandomState(seed).permutation(VARIABLES).tolist(), depth)
    return plan
