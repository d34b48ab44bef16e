"""Keyframes for Blender: a Python script that makes an empty per joint and moves it (Blender: Scripting, Open, Run).

Every track is a collection `dcpose_track3` with an empty per joint, `left_wrist`, moved in the plane X, Z (Y is 0), Z
up: in metres with a scale (space.py), else a pixel is 0.01 units, from the lower edge of the picture. Keyframes are
linear and lie at the scene's frame that is shown at their time; the script sets the scene's frame rate to that of the
video. Where a joint was not found its empty is hidden. The attribute `confidence` of each empty is keyed, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from ..results.reader import PoseTrackResult
from ..results.serialization import compact_json, written
from ._outputs import write_files
from .format import Format, Options, tracks_of, written_rate
from .space import Space, space_of

#: Blender units of a pixel where there is no scale.
UNITS_PER_PIXEL: Final = 0.01

_SCRIPT: Final = '''"""Joints of people in a video, made by dcpose. Run in Blender."""
import json

import bpy

DATA = json.loads(DATA_TEXT)
scene = bpy.context.scene
scene.render.fps, scene.render.fps_base = max(1, round(DATA["fps"])), max(1, round(DATA["fps"])) / DATA["fps"]
scene.frame_start, scene.frame_end = 1, max(1, DATA["last"])


def keyed(empty, name, frame, value):
    setattr(empty, name, value)
    empty.keyframe_insert(data_path=name, frame=frame)


for track, joints in DATA["tracks"].items():
    collection = bpy.data.collections.new("dcpose_track" + track)
    scene.collection.children.link(collection)
    for joint, keys in joints.items():
        empty = bpy.data.objects.new(joint, None)
        empty.empty_display_size = DATA["size"]
        collection.objects.link(empty)
        seen = False
        for frame, place in keys:
            if (place is not None) != seen or frame == keys[0][0]:
                seen = place is not None
                keyed(empty, "hide_viewport", frame, not seen)
                keyed(empty, "hide_render", frame, not seen)
            if place is not None:
                keyed(empty, "location", frame, (place[0], 0.0, place[1]))
                empty["confidence"] = place[2]
                empty.keyframe_insert(data_path=\'["confidence"]\', frame=frame)
        action = empty.animation_data.action if empty.animation_data else None
        for curve in getattr(action, "fcurves", ()):
            for point in curve.keyframe_points:
                point.interpolation = "CONSTANT" if curve.data_path.startswith("hide") else "LINEAR"
'''


def write_blender(result: PoseTrackResult, path: Path, options: Options) -> None:
    """Write a result to `path`."""
    space, rate = space_of(result, options), written_rate(result)
    height = result.header.get("height")
    bottom = float(height) if isinstance(height, int) else 0.0
    frames = [1 + frame.time * rate for frame in result.frames]
    tracks: dict[str, dict[str, list[list[object]]]] = {}
    for track, people in tracks_of(result).items():
        joints: dict[str, list[list[object]]] = {name: [] for name in result.joints}
        for position in range(min(people), max(people) + 1):
            found = written(people[position]).joints if position in people else [None] * len(result.joints)
            for name, joint in zip(result.joints, found, strict=True):
                joints[name].append([round(frames[position], 4), joint and _place(joint, space, bottom)])
        tracks[str(track)] = {name: keys for name, keys in joints.items() if any(key[1] for key in keys)}
    size = 0.02 if space.metres is not None else 4 * UNITS_PER_PIXEL
    data = {"fps": rate, "last": int(np.ceil(max(frames, default=1.0))), "size": size, "tracks": tracks}
    path.write_text(_SCRIPT.replace("DATA_TEXT", repr(compact_json(data))), encoding="ascii", newline="\n")


def _place(joint: tuple[float, float, float], space: Space, bottom: float) -> list[float]:
    x, y = space.place(np.array(joint[:2], np.float64)).tolist()
    if space.metres is None:
        x, y = x * UNITS_PER_PIXEL, (bottom - 0.5 - y) * UNITS_PER_PIXEL
    return [round(x, 6), round(y, 6), joint[2]]


def _write(result: PoseTrackResult, out: Path, options: Options) -> list[Path]:
    return write_files({out: lambda path: write_blender(result, path, options)}, overwrite=options.overwrite)


FORMAT = Format("keyframes for Blender, a script to run there", ".py", _write, measures=True)
