"""Stand-ins for the published files: their names of tensors and their shapes, filled by a formula.

Names of HRNets are those of the published DCPose checkpoint (data/dcpose/state_shapes.json), of ResNets torchvision's,
of PoseWarper's neck those of the published file. None is made from a network of ours. `width` scales HRNet's 48.

Not a test: `conftest.py` reads it and makes the fixture `layouts`.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

DATA = Path(__file__).resolve().parent / "data" / "dcpose"
_FILL = runpy.run_path(str(DATA / "fill_weights.py"))["fill_state_dict"]


#: Blocks and modules that a short HRNet lacks: one of each is left, of the last stage the last one.
_LEFT_OUT = re.compile(r"(layer1|branches\.\d)\.[1-9]\.|stage3\.[1-9]\.|stage4\.[01]\.")


def hrnet_shapes(width=8, joints=17, short=False):
    """(name, shape) of an HRNet without its final layer, and of that layer."""
    prefix = "rough_pose_estimation_net."
    shapes = json.loads((DATA / "state_shapes.json").read_text())
    scaled = {48 * k: width * k for k in (1, 2, 4, 8)} | {17: joints}
    plain = [(n.removeprefix(prefix), [scaled.get(s, s) for s in shape]) for n, shape in shapes if n.startswith(prefix)]
    if short:
        plain = [(n.replace("stage4.2.", "stage4.0."), s) for n, s in plain if not _LEFT_OUT.search(n)]
    return plain[:-2], plain[-2:]


def _batch_norm(name, channels):
    counted = ("weight", "bias", "running_mean", "running_var")
    return [(f"{name}.{part}", [channels]) for part in counted] + [(f"{name}.num_batches_tracked", [])]


def resnet_shapes(depth=18, width=8, joints=17):
    """(name, shape) of a ResNet without its classifier, and of three transposed convolutions and a final layer."""
    blocks, bottleneck = {18: ([2, 2, 2, 2], False), 50: ([3, 4, 6, 3], True)}[depth]
    out = [("conv1.weight", [64, 3, 7, 7]), *_batch_norm("bn1", 64)]
    cin = 64
    for layer, count in enumerate(blocks, start=1):
        mid = 64 * 2 ** (layer - 1)
        cout = 4 * mid if bottleneck else mid
        for block in range(count):
            name = f"layer{layer}.{block}"
            sides = [(mid, cin, 1), (mid, mid, 3), (cout, mid, 1)] if bottleneck else [(mid, cin, 3), (mid, mid, 3)]
            for k, (wide, narrow, side) in enumerate(sides, start=1):
                out += [(f"{name}.conv{k}.weight", [wide, narrow, side, side]), *_batch_norm(f"{name}.bn{k}", wide)]
            if block == 0 and cin != cout:
                out += [(f"{name}.downsample.0.weight", [cout, cin, 1, 1]), *_batch_norm(f"{name}.downsample.1", cout)]
            cin = cout
    head = []
    for k in (0, 3, 6):
        head += [(f"deconv_layers.{k}.weight", [cin, width, 4, 4]), *_batch_norm(f"deconv_layers.{k + 1}", width)]
        cin = width
    return out, [*head, ("final_layer.weight", [joints, width, 1, 1]), ("final_layer.bias", [joints])]


def neck_shapes(width=8):
    """(name, shape) of PoseWarper's neck."""
    out = [("neck.trans_layer.weight", [17, width, 1, 1]), ("neck.trans_layer.bias", [17])]
    for k in range(20):
        name, cin = f"neck.offset_feats.{k}", 17 if k == 0 else 128
        out += [(f"{name}.conv1.weight", [128, cin, 3, 3]), *_batch_norm(f"{name}.bn1", 128)]
        out += [(f"{name}.conv2.weight", [128, 128, 3, 3]), *_batch_norm(f"{name}.bn2", 128)]
        if k == 0:
            out += [(f"{name}.downsample.0.weight", [128, 17, 1, 1]), *_batch_norm(f"{name}.downsample.1", 128)]
    out += [(f"neck.offset_layers.{k}.weight", [306, 128, 3, 3]) for k in range(5)]
    return out + [(f"neck.deform_conv_layers.{k}.weight", [17, 17, 3, 3]) for k in range(5)]


def filled(body, head, ahead="head."):
    """Tensors of a network of single frames as OpenMMLab names them: (name, shape) of its backbone and of its head."""
    return _FILL([("backbone." + n, s) for n, s in body] + [(ahead + n, s) for n, s in head])


def state_of(entry, width=8, depth=18, short=False):
    """The tensors of a published file (an entry of the table), as it names them."""
    if entry.kind == "posewarper":
        return _FILL([("backbone." + n, s) for n, s in hrnet_shapes(width, short=short)[0]] + neck_shapes(width))
    body, head = resnet_shapes(depth) if entry.kind == "simplebaseline" else hrnet_shapes(width, short=short)
    ahead = "head." if entry.joints == "coco" else "keypoint_head."  # release 1.x, 0.x
    return filled(body, head, ahead)


def content_of(state, meta=None, *, zipped=False):
    """The bytes of a container as OpenMMLab's releases write it, in the format before zip files."""
    meta = {"mmpose_version": "0.x", "epoch": 210, "best": np.float64(0.5)} if meta is None else meta
    out = io.BytesIO()
    torch.save({"meta": meta, "state_dict": state}, out, _use_new_zipfile_serialization=zipped)
    return out.getvalue()


def detector_content():
    """A small detector as ultralytics writes it."""
    from dcpose_cli import _ultralytics

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = _ultralytics.detection_model("yolov8n.yaml", 1)
    model.names = {0: "person"}
    out = io.BytesIO()
    torch.save({"model": model.half(), "ema": None}, out)
    return out.getvalue()


def relabelled(entry, content):
    """The entry of a stand-in: its published hash begins as the stand-in's."""
    digest = hashlib.sha256(content).hexdigest()
    return replace(entry, sha256=(digest if entry.kind == "detector" else digest[:8],))
