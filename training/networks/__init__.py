"""Networks by name: `build('swift-s')`, or `build({'name': 'swift-s', 'views': ..., 'memory': 0})`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import CanonicalView, Patch, View
from training.networks.base import Network, Output, d_rate
from training.networks.config import NetworkConfig, describe
from training.networks.flat import StepModule
from training.networks.flownet import FLOWNETS
from training.networks.swift import SWIFT
from training.settings import SettingError, convert

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
        changes["views"] = {view: _view(name, view, value) for view, value in changes["views"].items()}
    hints, where = typing.get_type_hints(type(config)), f"network '{name}'"
    typed = {key: value if key == "views" else convert(hints[key], value, where, key) for key, value in changes.items()}
    try:
        return dataclasses.replace(config, **typed)
    except SettingError as error:
        raise VodistillError(f"{where}: {error.problem}", error.remedy) from error


def build(spec: str | Mapping[str, Any]) -> Network:
    """A freshly initialised network."""
    return configure(spec).build()


def specify(name: str, network: Network) -> dict[str, Any]:
    """Plain data, complete, from which `build` makes a network like `network`, whose registered name is `name`."""
    fields = dataclasses.fields(network.config)
    return {"name": name, **{field.name: describe(getattr(network.config, field.name)) for field in fields}}


def _view(network: Any, name: str, value: Any) -> View | Patch:
    if isinstance(value, View | Patch):
        return value
    if not isinstance(value, Mapping):
        raise VodistillError(f"network '{network}': view '{name}' is {value!r}", "write {kind: level, width: ..., ...}")
    return CanonicalView.from_dict(value)
