"""`python -m training ...`: everything that happens offline. For several processes: `torchrun -m training ...`."""

from __future__ import annotations

from ros2_vodistill.console import without_traceback
from ros2_vodistill.errors import VodistillError

_OWN = "training", "ros2_vodistill"


def main() -> None:
    """Run a command; a package that is not installed is told like bad input."""
    with without_traceback():
        try:
            from training.commands import app

            app()
        except ModuleNotFoundError as error:
            if (error.name or "training").partition(".")[0] in _OWN:
                raise
            raise VodistillError(
                f"training needs {error.name}", "from the checkout: pip install -e '.[train]'"
            ) from error


if __name__ == "__main__":
    main()
