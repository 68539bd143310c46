"""Networks by name: `build('swift-s')`, or `build({'name': 'swift-s', 'views': ..., 'memory': 0})`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import CanonicalView
from training.networks.base import Network, NetworkConfig, Output, d_rate, describe
from training.networks.flat import StepModule
from training.networks.flownet import FLOWNETS
from training.networks.swift import SWIFT

__all__ = ["REGISTRY", "Network", "NetworkConfig", "Output", "StepModule", "build", "configure", "d_rate", "specify"]

REGISTRY: dict[str, NetworkConfig] = {**SWIFT, **FLOWNETS}


def configure(spec: str | Mapping[str, Any]) -> NetworkConfig:
    """The description of a network: a registered name, or such a name with fields that differ from the registered."""
    changes: dict[str, Any] = {"name": spec} if isinstance(spec, str) else dict(spec)
    name = changes.pop("name", None)
    if name not in REGISTRY:
        raise VodistillError(f"unknown network {name!r}", f"Known: {', '.join(REGISTRY)}.")
    config = REGISTRY[name]
    known = [field.name for field in dataclasses.fields(config)]
    if strange := sorted(set(changes) - set(known)):
        raise VodistillError(f"network '{name}' has no {', '.join(strange)}", f"It can be told {', '.join(known)}.")
    if "views" in changes:
        views = changes["views"].items()
        changes["views"] = {k: CanonicalView.from_dict(v) if isinstance(v, Mapping) else v for k, v in views}
    return dataclasses.replace(config, **{key: _frozen(value) for key, value in changes.items()})


def build(spec: str | Mapping[str, Any]) -> Network:
    """A freshly initialised network."""
    return configure(spec).build()


def specify(name: str, network: Network) -> dict[str, Any]:
    """Plain data, complete, from which `build` makes a network like `network`, whose registered name is `name`."""
    fields = dataclasses.fields(network.config)
    return {"name": name, **{field.name: describe(getattr(network.config, field.name)) for field in fields}}


def _frozen(value: Any) -> Any:
    """Lists, as YAML and JSON have them, as tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
