"""Networks that were never trained as models on disk: they take as long as trained ones.

    python -m benchmarks.untrained swift-t flownet-t flownet-3-3 --int8 flownet-3-3 --out out/untrained

Each is written to a folder of its name below --out, which may be given to `vodistill bench`; those named after --int8
to one more, NAME-int8.
"""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.figures import command
from ros2_vodistill.model import Model
from training import networks, ship
from training.config import Data, Experiment
from training.export import GRAPH, folder_replacing, write_card, write_graph
from training.networks import Network

_HELD_OUT = 8  # clips: what int8 costs in accuracy says nothing here


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("networks", nargs="+", help=f"of {', '.join(networks.REGISTRY)}")
    parser.add_argument("--int8", nargs="*", default=[], metavar="NETWORK", help="at int8 too, calibrated as any")
    parser.add_argument("--out", type=Path, default=Path("out/untrained"), help="folder of the models")
    options = parser.parse_args()
    torch.set_num_threads(1)  # where the machine is busy, more of them wait for each other
    for name in options.networks:
        torch.manual_seed(0)
        print(export(name, networks.build(name), options.out / name).path.parent)
    for name in options.int8:
        print(in_int8(options.out / name))


def export(name: str, network: Network, folder: Path) -> Model:
    """The network as a model in that folder."""
    with folder_replacing(folder) as place:
        write_graph(network, place / GRAPH)
        write_card(place, card(name, network))
    return Model.load(folder)


def in_int8(model: Path) -> Path:
    """The model of that folder with int8 convolutions, calibrated on generated clips, in a folder beside it."""
    experiment = Experiment("untrained", data=Data(frames=4, held_out=_HELD_OUT))
    return ship.lower(model, "int8", experiment, model.parent, "python -m benchmarks.untrained", overwrite=True)


def card(name: str, network: Network) -> dict[str, object]:
    """What a card must have, `write_card`'s own entries aside."""
    family = name.partition("-")[0]
    teacher = networks.build(f"{family}-t")
    return {
        "format": 1,
        "name": name,
        "family": family,
        "description": "Never trained: for timing.",
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
        "d_rate": round(networks.d_rate(network, teacher), 6),
        "teacher": None if name == f"{family}-t" else f"{family}-t",
        "precision": "fp32",
        "data": {"name": "none", "licence": "Apache-2.0", "samples": 0},
    }


if __name__ == "__main__":
    main()
