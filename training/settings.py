"""Dataclasses from YAML and back, with errors that say which key of which file is wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from ros2_vodistill.errors import VodistillError

T = TypeVar("T")


class SettingError(VodistillError):
    """A value that a setting cannot have, told by the dataclass that holds it. The problem begins with the field's
    name, and `build` puts before it where the dataclass stands."""


def build(kind: type[T], values: Any, where: str, key: str = "") -> T:
    """A dataclass from plain values; errors name `where` (the file) and the key, dotted."""
    if not isinstance(values, Mapping):
        raise VodistillError(f"{where}: {key or 'the file'} must be a mapping, not {values!r}", f"see {kind.__name__}")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init}  # type: ignore[arg-type]
    out = {}
    for name, value in values.items():
        dotted = f"{key}.{name}" if key else str(name)
        if name not in fields:
            near = difflib.get_close_matches(str(name), fields, n=3, cutoff=0.5)
            known = f"did you mean {' or '.join(near)}?" if near else f"known keys: {', '.join(fields)}"
            raise VodistillError(f"{where}: unknown key {dotted}", known)
        out[name] = convert(hints[name], value, where, dotted)
    for name, f in fields.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and name not in out:
            raise VodistillError(
                f"{where}: {f'{key}.' if key else ''}{name} is missing", f"add it: see {kind.__name__}"
            )
    try:
        return kind(**out)
    except SettingError as error:
        raise VodistillError(f"{where}: {f'{key}.' if key else ''}{error.problem}", error.remedy) from error
    except ValueError as error:
        raise VodistillError(f"{where}: {key or kind.__name__}: {error}", "correct the value") from error


def plain(value: Any) -> Any:
    """Dataclasses, tuples and paths as what JSON and YAML can hold; `build` reads it back."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def override(settings: T, values: Mapping[str, Any], where: str) -> T:
    """`settings` with some of its fields replaced."""
    return build(type(settings), {**plain(settings), **values}, where)


def explain(kind: type, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """(key, default, meaning) of every setting, from the docstrings."""
    hints = typing.get_type_hints(kind)
    meanings = meanings_of(kind)
    for f in dataclasses.fields(kind):
        default = f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
        inner = next((t for t in [hints[f.name], *typing.get_args(hints[f.name])] if dataclasses.is_dataclass(t)), None)
        shown = "required" if default is dataclasses.MISSING else "" if inner else repr(default)
        yield prefix + f.name, shown, meanings.get(f.name, "")
        if inner:
            many = typing.get_origin(hints[f.name])
            mark = ".NAME" if many is dict else "[]" if many is tuple else ""
            yield from explain(typing.cast(type, inner), f"{prefix}{f.name}{mark}.")


def overridden(values: dict[str, Any], overrides: list[str] | None) -> dict[str, Any]:
    """Plain values with `key=value` pairs set in them."""
    for text in overrides or []:
        key, separator, value = text.partition("=")
        if not separator:
            raise VodistillError(f"--set {text}: not of the form key=value", "write, say, --set training.rate=1e-3")
        _put(values, key.split("."), yaml.safe_load(value))
    return values


def refuse(values: Mapping[str, Any], taken: Mapping[str, str], prefix: str = "") -> None:
    """An error where the world's `values` hold what is said elsewhere: a key of `taken`, whose text says where."""
    for name in taken:
        if name in values:
            raise VodistillError(f"{prefix}{name} is not the world's to say", taken[name])


def read(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The plain values of a YAML file, on top of those of its `base`."""
    if path.resolve() in seen:
        raise VodistillError(f"{path}: its `base` leads back to itself", "remove one of the `base` lines")
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        shipped = ", ".join(sorted(p.name for p in (Path(__file__).parent / "configs").glob("*.yaml")))
        raise VodistillError(f"{path}: {error.strerror}", f"training/configs holds {shipped}") from error
    except yaml.YAMLError as error:
        raise VodistillError(f"{path}: not YAML: {' '.join(str(error).split())}", "correct the line") from error
    if not isinstance(values, dict):
        raise VodistillError(f"{path}: must be a mapping of keys, not {values!r}", "see training/configs")
    base = values.pop("base", None)
    return values if base is None else _merge(read(path.parent / str(base), (*seen, path.resolve())), values)


def meanings_of(kind: type) -> dict[str, str]:
    """Meaning of each setting of a class by name, from its docstring and from those of the classes that it extends."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        found |= _listed(base.__doc__ or "")
    return found


def _listed(docstring: str) -> dict[str, str]:
    """What a docstring lists under `Attributes:` or `Args:`; several names may have one text."""
    out: dict[str, str] = {}
    names: list[str] = []
    for line in re.split("Attributes:|Args:", inspect.cleandoc(docstring))[-1].splitlines()[1:]:
        heads, colon, rest = line.strip().partition(": ")
        if line.startswith(" " * 4) and not line.startswith(" " * 5) and colon:
            names = heads.split(", ")
            out |= dict.fromkeys(names, rest)
        elif line.strip():
            out |= {name: f"{out[name]} {line.strip()}" for name in names}
    return out


def convert(kind: Any, value: Any, where: str, key: str) -> Any:
    """A value as of a type; an error names `where` and the key."""
    origin = typing.get_origin(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return build(typing.cast(type, kind), value, where, key)
    container = {
        typing.Union: _union,
        types.UnionType: _union,
        Literal: _literal,
        tuple: _list,
        dict: _mapping,
        Mapping: _mapping,
    }.get(origin)
    if container is not None:
        return container(typing.get_args(kind), value, where, key)
    return _scalar(kind, value, where, key)


def _union(kinds: tuple[Any, ...], value: Any, where: str, key: str) -> Any:
    *first, last = [kind for kind in kinds if kind is not type(None)]
    if value is None and type(None) in kinds:
        return None
    for kind in first:
        try:
            return convert(kind, value, where, key)
        except VodistillError:
            continue
    return convert(last, value, where, key)


def _literal(choices: tuple[Any, ...], value: Any, where: str, key: str) -> Any:
    if value not in choices:
        raise VodistillError(f"{where}: {key} is {value!r}", f"it can be {', '.join(map(str, choices))}")
    return value


def _list(kinds: tuple[Any, ...], value: Any, where: str, key: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise VodistillError(f"{where}: {key} is {value!r}", "it must be a list: [a, b]")
    if Ellipsis in kinds:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise VodistillError(f"{where}: {key} is {value!r}", f"it must have {len(kinds)} values")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(convert(kind, item, where, f"{key}[{i}]") for i, (kind, item) in pairs)


def _mapping(kinds: tuple[Any, ...], value: Any, where: str, key: str) -> Any:
    if not isinstance(value, Mapping):
        raise VodistillError(f"{where}: {key} is {value!r}", "it must be a mapping")
    return {str(k): convert(kinds[1], v, where, f"{key}.{k}") for k, v in value.items()}


def number(value: Any) -> Any:
    """Of text that is a number, as which YAML 1.1 reads 1e-4, that number; all else as it is."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def _scalar(kind: Any, value: Any, where: str, key: str) -> Any:
    if kind is float:
        value = number(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    names = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
    raise VodistillError(f"{where}: {key} is {value!r}", f"it must be {names.get(kind, kind.__name__)}")


def _merge(base: dict[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in top.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), dict)
        out[key] = _merge(out[key], value) if both else value
    return out


def _put(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for i, key in enumerate(keys[:-1]):
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            above = ".".join(keys[: i + 1])
            raise VodistillError(
                f"--set {'.'.join(keys)}: {above} is {values!r}, which holds no {keys[i + 1]!r}",
                f"set the whole of it: --set '{above}=...', in YAML",
            )
    values[keys[-1]] = value
