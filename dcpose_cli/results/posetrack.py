"""The native result file: PoseTrack18 JSON, one file per video, readable by poseval-style tools (SPEC 7.4).

    {"dcpose": {...}, "images": [...], "annotations": [...], "categories": [{...}]}

images         one entry per decoded frame, in order, people or not: `file_name`, `id`, `frame_id`, `vid_id`,
               `nframes`, `is_labeled`, `has_no_densepose`. Frame i of the video has id
               10^10 + (1 + i // 10000) * 10^4 + i % 10000.
annotations    one entry per person and frame: `image_id`, `id` (unique in the file), `track_id`, `category_id` 1,
               `keypoints` (17 x (x, y, visible): pixels of the upright frame, (0, 0) the centre of the first pixel;
               visible is 1, or 0 with x = y = 0 for a joint that was not predicted), `scores` (17 confidences; 19 of
               both where the model knows the eyes, which come last),
               `bbox` (x, y, width, height) and `score` of the detector. `interpolated` is there, and true, where the
               person was not detected in the frame: in a gap of the track, or just before it ends.
categories     the one category `person` with the joint names in order and the limbs.
dcpose         what other readers ignore. The writer sets
                 format          1; readers of 0.6 refuse any other number
                 schema_version  version of the whole file (1); results of 0.6 have none
                 frames, people  entries of `images` and of `annotations`
                 damaged_frames  indexes of frames the decoder reported as damaged
                 pts             presentation time of every frame, in ticks of `time_base`; 0 is the first frame of the
                                 video (results without `start_pts`: where the video's own clock is 0)
               and the caller gives, for `dcpose estimate`,
                 dcpose          version of the package that wrote the file
                 input           {"name", "sha256"} of the video: its file name, never a path; with "changed": true
                                 and no hash where the file was written to while it was read
                 model, detector {"name", "sha256"}
                 libraries       {name: version}
                 fps             average rate as "num/den", or null
                 shot_fps        frames per second the camera recorded with, as "num/den"; only there for slow motion:
                                 the real time of a frame is then pts * time_base * fps / shot_fps
                 time_base       seconds per tick as "num/den"; the one key that reading needs
                 start_pts       of the first frame on the video's own clock, in ticks
                 width, height   of the upright frame, pixels
                 pixel_aspect    width of a pixel over its height in the upright frame, as "num/den"; results of 0.6
                                 do not have it
                 settings        the options that influence the result; "hwaccel", the type of the hardware decoder, is
                                 there only when one was chosen: without it software decoded
                 selection       the people that were chosen (config.Selection); absent where everybody was kept
                 edits           corrections by hand: [{"of_sha256", "script": [lines]}]; absent where there are none
                 decode          {"frames", "damaged", "errors"}: frames delivered, flagged and lost;
                                 and "hardware" when "hwaccel" is there: frames that
                                 the hardware decoded, from the first one on; software decoded the others
                 pictures        what was done to the pictures, only there when something was: "tone_mapped" ("PQ" or
                                 "HLG", HDR) and "deinterlaced" (number of frames)
                 video           sha256 of the annotated MP4, or null when none was asked for
               No clock time, host name or absolute path is in the file: the same run gives the same bytes.
"""

from __future__ import annotations

from .format import CATEGORY, FORMAT_VERSION, SCHEMA_VERSION, annotation_id, image_entry, image_id
from .reader import PoseTrackResult, read_posetrack
from .writer import PoseTrackWriter

__all__ = [
    "CATEGORY",
    "FORMAT_VERSION",
    "SCHEMA_VERSION",
    "PoseTrackResult",
    "PoseTrackWriter",
    "annotation_id",
    "image_entry",
    "image_id",
    "read_posetrack",
]
