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
        from training import networks
        from training.export import write_card, write_graph

        torch.manual_seed(0)
        network = networks.build(name)
        torch.nn.init.normal_(getattr(network.head, "outputs", network.head)[-1].weight, std=0.02)
        self[name] = self.folder / name
        self[name].mkdir()
        write_graph(network, self[name] / "model.onnx")
        card = {
            "format": 1,
            "name": name,
            "family": "test",
            "description": "Never trained.",
            "views": {key: view.to_dict() for key, view in network.views.items()},
            "states": {f"state_{key}": list(shape) for key, shape in network.state_shapes.items()},
            "unit": network.unit,
            "range": {
                "min_translation": 0.01,
                "max_translation": 2.0,
                "min_rotation": 0.001,
                "max_rotation": 0.2,
                "max_interval": 1.0,
            },
            "covariance_scale": [1.0] * 6,
            "parameters": network.parameter_count(),
            "precision": "fp32",
            "data": {"name": "none", "licence": "Apache-2.0", "samples": 0},
        }
        write_card(self[name], card)
        return self[name]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Folders of freshly initialised networks by name."""
    return _Exports(tmp_path_factory.mktemp("exports"))  # type: ignore[return-value]
