"""A folder of images, and what all recordings of image files share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ros2_vodistill.calibration import load_camera
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.image import decode_compressed
from ros2_vodistill.sources.base import Frame, Image, Options, Source, natural_order
from ros2_vodistill.trajectory import Trajectory, read_times

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".webp"})
CALIBRATIONS = ("calib.txt", "camera_info.yaml", "camera.yaml", "sensor.yaml", "camchain.yaml", "calibration.yaml")
TIMES = "times.txt"


class ImageFiles(Source):
    """Image files with a stamp each. All must have one size; files that cannot be read are noted and left out."""

    def __init__(
        self, path: Path, stamps: Sequence[float], files: Sequence[Path], truth: Trajectory | None = None
    ) -> None:
        super().__init__(path, truth=truth)
        self.stamps, self.files = stamps, files

    def __len__(self) -> int:
        return len(self.files)

    def _frames(self) -> Iterator[Frame]:
        first: tuple[Path, tuple[int, ...]] | None = None
        for stamp, file in zip(self.stamps, self.files, strict=True):
            try:
                image = read_image(file)
            except VodistillError as error:
                self._notes.add("unreadable image", error.problem)
                continue
            first = first or (file, image.shape)
            if image.shape != first[1]:
                raise VodistillError(
                    f"images of two sizes: {_size(first[1])} in {first[0]}, {_size(image.shape)} in {file}",
                    "A recording has one camera: move the images of the other size elsewhere.",
                )
            yield stamp, image

    def find_camera(self, options: Options, files: Sequence[Path], name: str = "") -> None:
        """Take the camera, of that name, from the user's file, or from the first of these that is there."""
        file = options.calibration or next((file for file in files if file.exists()), None)
        if file is None:
            self.searched += [str(file) for file in files]
            return
        first = next(iter(self))
        self.camera = load_camera(file, first[1].shape[::-1], name=name)


def open_folder(path: Path, options: Options) -> ImageFiles:
    """Images in natural order, their times in times.txt or from a rate; a calibration file beside them is found."""
    options.refuse(path, "a folder of images", "topic", "truth_topic")
    files = image_files(path)
    stamps = file_times(path / TIMES, files, options)
    source = ImageFiles(path, stamps, files, options.true_path(stamps))
    source.find_camera(options, [path / name for name in CALIBRATIONS])
    return source


def image_files(folder: Path) -> list[Path]:
    """The images in a folder, 9.png before 10.png."""
    return natural_order(
        file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
    )


def read_image(file: Path) -> Image:
    """Grey, uint8, HxW; an error names the file."""
    try:
        return decode_compressed(file.read_bytes())
    except OSError as error:
        raise VodistillError(f"{file}: {error.strerror}", "Check the file and its permissions.") from error
    except VodistillError as error:
        raise VodistillError(f"{file}: {error.problem}", error.remedy) from error


def file_times(table: Path, files: Sequence[Path], options: Options) -> list[float]:
    """The stamp of each file: from the rate if there is one, else from the lines of a times.txt.

    Where there are more times than files, the files' numbers say which lines are theirs.
    """
    if not files:
        raise VodistillError(f"{table.parent} has no images", f"Known: {', '.join(sorted(IMAGE_SUFFIXES))}.")
    if options.rate:
        return [index / options.rate for index in range(len(files))]
    if not table.exists():
        raise VodistillError(
            f"{table.parent} has {len(files)} images and no times: {table} is not there",
            "Write it, a line with seconds for each image, or give the frames per second with --rate.",
        )
    times = read_times(table)
    if len(times) == len(files):
        return times.tolist()
    numbers = [int(file.stem) if file.stem.isdecimal() else len(times) for file in files]
    if max(numbers) >= len(times):
        raise VodistillError(
            f"{table} has {len(times)} times for {len(files)} images, the last of which is {files[-1].name}",
            "Give one time for each image, or number the images by their lines from 0.",
        )
    return times[numbers].tolist()


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
