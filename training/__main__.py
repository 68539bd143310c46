"""`python -m training ...`: everything that happens offline. For several processes: `torchrun -m training ...`."""

from __future__ import annotations

from rich.console import Console

from ros2_vodistill.errors import VodistillError

_console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
_OWN = "training", "ros2_vodistill"


def main() -> None:
    """The commands; problems that a user can mend are told without a traceback."""
    try:
        from training.commands import app

        app()
    except VodistillError as error:
        _refuse(error)
    except OSError as error:
        if error.filename is None:
            raise
        _refuse(VodistillError(f"{error.filename}: {error.strerror}", "check the path and its permissions"))
    except ModuleNotFoundError as error:
        if (error.name or "training").partition(".")[0] in _OWN:
            raise
        _refuse(VodistillError(f"training needs {error.name}", "from the checkout: pip install -e '.[train]'"))
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _refuse(error: VodistillError) -> None:
    _console.print(f"error: {error}", style="red")
    raise SystemExit(2) from None


if __name__ == "__main__":
    main()
