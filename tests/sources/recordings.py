"""One short sequence, and that sequence in every kind of recording. What the package writes itself is written by it;
all else is written here, by the formats' own descriptions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags import rosbag1, rosbag2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from scipy.spatial.transform import Rotation

from ros2_vodistill import geometry
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.sources.record import write_bag
from ros2_vodistill.sources.written import write_kitti

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sequence:
    """What every recording of it must give back; the first pose is the identity."""

    frames: list[NDArray[np.uint8]]
    stamps: list[float]
    poses: Array
    camera: Camera
    mount: Mount


def make_sequence(count: int, width: int = 80, height: int = 60) -> Sequence:
    random = np.random.default_rng(count)
    frames = [random.integers(0, 256, (height, width), np.uint8) for _ in range(count)]
    stamps = [round(100 + 0.1 * index, 3) for index in range(count)]
    steps = np.hstack([random.normal(0, 0.3, (count - 1, 3)), random.normal(0, 0.2, (count - 1, 3))])
    poses = geometry.accumulate(geometry.exp(steps))
    return Sequence(frames, stamps, poses, Camera(width, height, "pinhole", 70, 72, 39.5, 30), Mount(0.4, 0.1, -0.05))


def kitti(path: Path, s: Sequence) -> None:
    write_kitti(path, s.frames, s.camera, s.stamps, s.poses)


def bag(path: Path, s: Sequence, **options: Any) -> None:
    write_bag(path, s.frames, s.camera, s.stamps, s.poses, mount=s.mount, **options)


def folder(path: Path, s: Sequence) -> None:
    """Names without leading zeros, so that their order is natural and not alphabetic; the truth as a TUM file."""
    path.mkdir()
    for index, frame in enumerate(s.frames):
        cv2.imwrite(str(path / f"frame{index + 5}.png"), frame)
    (path / "times.txt").write_text("".join(f"{stamp}\n" for stamp in s.stamps))
    c = s.camera
    (path / "camera.yaml").write_text(
        f"image_width: {c.width}\nimage_height: {c.height}\ncamera_name: test\n"
        f"camera_matrix: {{rows: 3, cols: 3, data: [{c.fx}, 0, {c.cx}, 0, {c.fy}, {c.cy}, 0, 0, 1]}}\n"
        "distortion_model: plumb_bob\ndistortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}\n"
    )


def tum_lines(s: Sequence, world: Array | None = None) -> str:
    poses = s.poses if world is None else world @ s.poses
    rows = []
    for stamp, pose in zip(s.stamps, poses, strict=True):
        values = [*pose[:3, 3], *Rotation.from_matrix(pose[:3, :3]).as_quat()]
        rows.append(f"{stamp} " + " ".join(f"{value:.15f}" for value in values))
    return "# timestamp tx ty tz qx qy qz qw\n" + "\n".join(rows) + "\n"


def tum(path: Path, s: Sequence) -> None:
    (path / "rgb").mkdir(parents=True)
    lines = ["# color images", "# timestamp filename"]
    for stamp, frame in zip(s.stamps, s.frames, strict=True):
        cv2.imwrite(str(path / "rgb" / f"{stamp:.6f}.png"), frame)
        lines.append(f"{stamp:.6f} rgb/{stamp:.6f}.png")
    (path / "rgb.txt").write_text("\n".join(lines) + "\n")
    (path / "groundtruth.txt").write_text(tum_lines(s, some_pose(3)))
    c = s.camera
    (path / "calib.txt").write_text(f"{c.fx} {c.fy} {c.cx} {c.cy}\n")


def euroc(path: Path, s: Sequence) -> None:
    """Truth of a prism on the body, which is neither the camera nor the body."""
    body_from_camera, body_from_prism, world = some_pose(1), some_pose(2), some_pose(3)
    camera, truth = path / "mav0" / "cam0", path / "mav0" / "state_groundtruth_estimate0"
    (camera / "data").mkdir(parents=True)
    truth.mkdir()
    c = s.camera
    (camera / "sensor.yaml").write_text(
        f"sensor_type: camera\nT_BS:\n  cols: 4\n  rows: 4\n  data: {body_from_camera.ravel().tolist()}\n"
        f"rate_hz: 10\nresolution: [{c.width}, {c.height}]\ncamera_model: pinhole\n"
        f"intrinsics: [{c.fx}, {c.fy}, {c.cx}, {c.cy}]\n"
        "distortion_model: none\ndistortion_coefficients: [0.0, 0.0, 0.0, 0.0]\n"
    )
    (truth / "sensor.yaml").write_text(f"T_BS:\n  cols: 4\n  rows: 4\n  data: {body_from_prism.ravel().tolist()}\n")
    images, rows = ["#timestamp [ns],filename"], ["#timestamp, p_RS_R_x [m], p_RS_R_y [m], ..."]
    for stamp, frame, pose in zip(s.stamps, s.frames, s.poses, strict=True):
        time = round(stamp * 1e9)
        cv2.imwrite(str(camera / "data" / f"{time}.png"), frame)
        images.append(f"{time},{time}.png")
        prism = world @ pose @ np.linalg.inv(body_from_camera) @ body_from_prism
        x, y, z, w = Rotation.from_matrix(prism[:3, :3]).as_quat()
        values = [*prism[:3, 3], w, x, y, z, *[0.0] * 9]
        rows.append(f"{time}," + ",".join(f"{value:.15f}" for value in values))
    (camera / "data.csv").write_text("\r\n".join(images) + "\r\n")
    (truth / "data.csv").write_text("\n".join(rows) + "\n")


def video(path: Path, s: Sequence) -> None:
    """Without loss; the rate is that of the stamps, which begin at zero."""
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"FFV1"), 10, s.frames[0].shape[::-1], False
    )
    assert writer.isOpened()
    for frame in s.frames:
        writer.write(frame)
    writer.release()


def some_pose(seed: int) -> Array:
    return geometry.exp(np.random.default_rng(seed).normal(0, 0.5, 6))


class Ros:
    """Messages of ROS 1 or 2 and a bag to put them in: `with Ros(path) as ros: ros.write(topic, message, time)`."""

    def __init__(self, path: Path, version: int = 2, storage: str = "mcap", **compression: Any) -> None:
        self.version = version
        self.store = get_typestore(Stores.ROS2_HUMBLE if version == 2 else Stores.ROS1_NOETIC)
        if version == 1:
            definition = "geometry_msgs/TransformStamped[] transforms"
            self.store.register(get_types_from_msg(definition, "tf2_msgs/msg/TFMessage"))
            self.writer: Any = rosbag1.Writer(path)
        else:
            self.writer = rosbag2.Writer(path, version=8, storage_plugin=rosbag2.StoragePlugin[storage.upper()])
        if compression:
            self.writer.set_compression(*compression.values())
        self.connections: dict[str, Any] = {}

    def __enter__(self) -> Ros:
        self.writer.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.writer.__exit__(*error)

    def write(self, topic: str, message: Any, time: int) -> None:
        kind = message.__msgtype__
        serialise = self.store.serialize_cdr if self.version == 2 else self.store.serialize_ros1
        self.write_raw(topic, kind, bytes(serialise(message, kind)), time)

    def write_raw(self, topic: str, kind: str, data: bytes, time: int) -> None:
        if topic not in self.connections:
            self.connections[topic] = self.writer.add_connection(topic, kind, typestore=self.store)
        self.writer.write(self.connections[topic], time, data)

    def make(self, kind: str, **fields: Any) -> Any:
        return self.store.types[kind](**fields)

    def header(self, time: int, frame: str = "camera") -> Any:
        stamp = self.make("builtin_interfaces/msg/Time", sec=time // 10**9, nanosec=time % 10**9)
        return self.make(
            "std_msgs/msg/Header", stamp=stamp, frame_id=frame, **({"seq": 0} if self.version == 1 else {})
        )

    def image(self, frame: NDArray[np.uint8], time: int, frame_id: str = "camera") -> Any:
        height, width = frame.shape
        return self.make(
            "sensor_msgs/msg/Image",
            header=self.header(time, frame_id),
            height=height,
            width=width,
            encoding="mono8",
            is_bigendian=0,
            step=width,
            data=frame.ravel(),
        )

    def info(self, camera: Camera, time: int) -> Any:
        c = camera
        matrices = {
            "d": np.zeros(5),
            "k": np.array([c.fx, 0, c.cx, 0, c.fy, c.cy, 0, 0, 1.0]),
            "r": np.eye(3).ravel(),
            "p": np.array([c.fx, 0, c.cx, 0, 0, c.fy, c.cy, 0, 0, 0, 1.0, 0]),
        }
        region = {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False}
        return self.make(
            "sensor_msgs/msg/CameraInfo",
            header=self.header(time),
            height=c.height,
            width=c.width,
            distortion_model="plumb_bob",
            binning_x=0,
            binning_y=0,
            roi=self.make("sensor_msgs/msg/RegionOfInterest", **region),
            **{name if self.version == 2 else name.upper(): value for name, value in matrices.items()},
        )

    def pose(self, pose: Array) -> Any:
        x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat().tolist()
        return self.make(
            "geometry_msgs/msg/Pose",
            position=self.make("geometry_msgs/msg/Point", **dict(zip("xyz", pose[:3, 3].tolist(), strict=True))),
            orientation=self.make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
        )

    def transform(self, parent: str, child: str, pose: Array, time: int) -> Any:
        stated = self.pose(pose)
        translation = self.make("geometry_msgs/msg/Vector3", **{axis: getattr(stated.position, axis) for axis in "xyz"})
        return self.make(
            "geometry_msgs/msg/TransformStamped",
            header=self.header(time, parent),
            child_frame_id=child,
            transform=self.make("geometry_msgs/msg/Transform", translation=translation, rotation=stated.orientation),
        )

    def transforms(self, *stamped: Any) -> Any:
        return self.make("tf2_msgs/msg/TFMessage", transforms=list(stamped))

    def odometry(self, pose: Array, time: int, frame: str, child: str) -> Any:
        zero = self.make("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
        twist = self.make("geometry_msgs/msg/Twist", linear=zero, angular=zero)
        covariance = np.zeros(36)
        return self.make(
            "nav_msgs/msg/Odometry",
            header=self.header(time, frame),
            child_frame_id=child,
            pose=self.make("geometry_msgs/msg/PoseWithCovariance", pose=self.pose(pose), covariance=covariance),
            twist=self.make("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=covariance),
        )


def rosbag1_bag(path: Path, s: Sequence) -> None:
    """Frame names with a leading slash, as ROS 1 has them; the truth is of a marker on base_link."""
    base_from_camera = geometry.make(FLU @ s.mount.level_from_camera, [0.2, -0.1, s.mount.height or 0])
    base_from_marker, world = some_pose(4), some_pose(5)
    with Ros(path, version=1) as ros:
        start = round(s.stamps[0] * 1e9)
        tree = [ros.transform("/base_link", "/camera", base_from_camera, start)]
        tree.append(ros.transform("/base_link", "/marker", base_from_marker, start))
        ros.write("/tf_static", ros.transforms(*tree), start)
        for stamp, frame, pose in zip(s.stamps, s.frames, s.poses, strict=True):
            time = round(stamp * 1e9)
            ros.write("/camera/camera_info", ros.info(s.camera, time), time + 7)
            ros.write("/camera/image_raw", ros.image(frame, time, "/camera"), time + 10**6)
            marker = world @ pose @ np.linalg.inv(base_from_camera) @ base_from_marker
            ros.write("/vicon/marker", ros.transform("/world", "/marker", marker, time), time + 5)


FLU = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
