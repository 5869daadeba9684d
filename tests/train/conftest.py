"""What the tests of training share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def tiny_network() -> Iterator[None]:
    """The architecture ``tiny``, beside the ones that ship."""
    from drawn import tiny_backbone
    from fer_edge_train.architectures import BACKBONES

    BACKBONES["tiny"] = tiny_backbone
    yield
    del BACKBONES["tiny"]
