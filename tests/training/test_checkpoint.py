"""Checkpoints: complete or absent, and exactly what was saved."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from ros2_vodistill.errors import VodistillError
from tests.training.killed import kill_at
from training import checkpoint


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4), "b/c": torch.arange(5), "half": torch.randn(2).bfloat16()}
    checkpoint.save(tmp_path, 12, tensors, {"samples": 7})
    newest = checkpoint.latest(tmp_path)
    assert newest is not None
    loaded, state = checkpoint.load(newest)
    assert state == {"samples": 7, "step": 12}
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[k], tensors[k]) and loaded[k].dtype == tensors[k].dtype for k in tensors)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 20, 300):
        checkpoint.save(tmp_path, step, {"a": torch.zeros(1)}, {})
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["step-000000020", "step-000000300"]
    assert checkpoint.latest(tmp_path / "none") is None


def test_an_optimiser_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    def fresh() -> tuple[torch.nn.Linear, torch.optim.Optimizer]:
        torch.manual_seed(0)
        layer = torch.nn.Linear(4, 2)
        return layer, torch.optim.AdamW(layer.parameters(), 1e-2)

    def train(layer: torch.nn.Linear, optimiser: torch.optim.Optimizer, steps: range) -> None:
        for i in steps:
            optimiser.zero_grad()
            layer(torch.full((1, 4), float(i))).square().sum().backward()
            optimiser.step()

    whole, its = fresh()
    train(whole, its, range(6))
    first, first_optimiser = fresh()
    train(first, first_optimiser, range(3))
    saved = {**first.state_dict(), **checkpoint.optimiser_tensors(first_optimiser)}
    checkpoint.save_tensors(tmp_path / "x.safetensors", saved)
    tensors, _ = checkpoint.load_tensors(tmp_path / "x.safetensors")
    second, second_optimiser = fresh()
    checkpoint.restore_optimiser(second_optimiser, tensors)
    second.load_state_dict({k: v for k, v in tensors.items() if "/" not in k})
    train(second, second_optimiser, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))


def test_a_folder_is_removed_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a kill left half of an earlier one."""
    folder = tmp_path / "a"
    folder.mkdir()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", _killed)
        checkpoint.remove(folder)
    assert not folder.exists()
    folder.mkdir()
    checkpoint.remove(folder)
    assert list(tmp_path.iterdir()) == []


def _killed(folder: Path, **_: object) -> None:
    if folder.exists():
        raise KeyboardInterrupt


@pytest.mark.parametrize("damage", ["cut", "text", "gone"])
def test_damaged_files_are_named(tmp_path: Path, damage: str) -> None:
    newest = checkpoint.save(tmp_path, 1, {"a": torch.zeros(100)}, {})
    file = newest / "tensors.safetensors"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:50])
    elif damage == "text":
        file.write_text("hello")
    else:
        file.unlink()
    with pytest.raises(VodistillError, match=r"tensors\.safetensors"):
        checkpoint.load(newest)
    (newest / "state.json").write_text("{")
    with pytest.raises(VodistillError, match=r"state\.json"):
        checkpoint.read_json(newest / "state.json")


def test_a_kill_while_saving_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    """A process saves without end and is killed: whatever is newest then is complete."""
    root = Path(__file__).resolve().parents[2]
    script = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        import torch
        sys.path.insert(0, {str(root)!r})
        from training import checkpoint
        step = 0
        while True:
            step += 1
            tensors = {{"a": torch.full((200_000,), float(step))}}
            checkpoint.save(Path({str(tmp_path)!r}), step, tensors, {{"value": step}})
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    tensors, state = checkpoint.load(kill_at(process, tmp_path, step=5))
    assert state["value"] == state["step"] >= 5
    assert torch.equal(tensors["a"], torch.full((200_000,), float(state["value"])))
    checkpoint.save(tmp_path, state["step"] + 1, tensors, state)
    assert not list(tmp_path.glob(".step-*"))
