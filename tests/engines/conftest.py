"""Models as training exports them, of networks that were never trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


class _Exports(dict[str, Path]):
    """Exported when first asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __missing__(self, name: str) -> Path:
        torch = pytest.importorskip("torch", reason="training is not installed: no exports to run")
        from benchmarks.untrained import export
        from training import networks

        torch.manual_seed(0)
        network = networks.build(name)
        torch.nn.init.normal_(getattr(network.head, "outputs", network.head)[-1].weight, std=0.02)
        self[name] = export(name, network, self.folder / name).path.parent
        return self[name]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Folders of freshly initialised networks by name."""
    return _Exports(tmp_path_factory.mktemp("exports"))  # type: ignore[return-value]
