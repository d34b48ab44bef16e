// The packed result (report/pack.py) as typed arrays, and what is computed from them.

function bytesOf(base64) {
  const text = atob(base64.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

class PoseData {
  // meta: of the page. buffer: the unpacked stream. offset: seconds to take off every time for the video's own clock.
  constructor(meta, buffer, offset) {
    this.meta = meta;
    this.offset = offset;
    this.frames = meta.frames;
    let at = 0;
    const take = (kind, count) => {
      const view = new kind(buffer, at, count);
      at += view.byteLength;
      return view;
    };
    const sum = (values) => {
      for (let i = 1; i < values.length; i++) values[i] += values[i - 1];
      return values;
    };
    this.times = take(Float64Array, this.frames).map((time) => time - offset);
    this.index = sum(take(Int32Array, this.frames));
    this.tracks = meta.tracks.map((track, number) => ({ ...track, number, frame: sum(take(Int32Array, track.count)) }));
    for (const [name, columns] of [["box", 4], ["xy", 2 * meta.joints.length]]) {
      for (const track of this.tracks) {
        track[name] = Array.from({ length: columns }, () => {
          const low = take(Uint8Array, track.count), high = take(Uint8Array, track.count);
          const column = new Int16Array(track.count);
          // Sums wrap around as the packer's steps do.
          for (let i = 0, last = 0; i < track.count; i++) column[i] = last += (high[i] << 8) | low[i];
          return column;
        });
      }
    }
    for (const track of this.tracks) track.score = meta.joints.map(() => take(Uint8Array, track.count));
    this.byFrame();
  }

  // For every frame the (track, row) pairs in it, as two flat lists.
  byFrame() {
    const start = new Int32Array(this.frames + 1);
    for (const track of this.tracks) for (const frame of track.frame) start[frame + 1]++;
    for (let i = 0; i < this.frames; i++) start[i + 1] += start[i];
    const fill = start.slice();
    this.start = start;
    this.who = new Int32Array(start[this.frames]);
    this.row = new Int32Array(start[this.frames]);
    for (const track of this.tracks) {
      track.frame.forEach((frame, row) => {
        const place = fill[frame]++;
        this.who[place] = track.number;
        this.row[place] = row;
      });
    }
  }

  // The frame shown at a time: the last one that began, or -1 well outside of the result.
  frameAt(time) {
    const times = this.times, last = this.frames - 1;
    if (time < times[0] - 0.02 || time > times[last] + 1.5 * this.step(last)) return -1;
    let low = 0, high = last;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (times[middle] <= time + 1e-4) low = middle; else high = middle - 1;
    }
    return low;
  }

  // How long a frame lasts, seconds.
  step(frame) {
    if (frame + 1 < this.frames) return this.times[frame + 1] - this.times[frame];
    return frame > 0 ? this.times[frame] - this.times[frame - 1] : 0.04;
  }

  score(track, joint, row) { return track.score[joint][row] / this.meta.scoreUnit; }
  x(track, joint, row) { return track.xy[2 * joint][row] / this.meta.scale; }
  y(track, joint, row) { return track.xy[2 * joint + 1][row] / this.meta.scale; }

  // The track at a place of a frame: the nearest joint of somebody whose box, and half of it around, holds the place.
  personAt(frame, x, y, hidden) {
    let best = -1, nearest = Infinity;
    if (frame < 0) return best;
    for (let k = this.start[frame]; k < this.start[frame + 1]; k++) {
      const track = this.tracks[this.who[k]], row = this.row[k];
      if (hidden.has(track.number)) continue;
      const [left, top, width, height] = track.box.map((column) => column[row] / this.meta.scale);
      if (Math.abs(x - left - width / 2) > width || Math.abs(y - top - height / 2) > height) continue;
      for (let joint = 0; joint < this.meta.joints.length; joint++) {
        if (!track.score[joint][row]) continue;
        const away = Math.hypot(this.x(track, joint, row) - x, this.y(track, joint, row) - y);
        if (away < nearest) [best, nearest] = [track.number, away];
      }
      const inside = x >= left && y >= top && x <= left + width && y <= top + height;
      if (best < 0 && inside) best = track.number;
    }
    return best;
  }

  // Put a joint to a place; it is sure from then on.
  moveJoint(track, joint, row, x, y) {
    track.xy[2 * joint][row] = Math.round(x * this.meta.scale);
    track.xy[2 * joint + 1][row] = Math.round(y * this.meta.scale);
    track.score[joint][row] = this.meta.scoreUnit;
  }

  // Angle at joint b between a and c in degrees, null where one of them is unsure.
  angle(track, [a, b, c], row, threshold) {
    const limit = Math.max(1, threshold * this.meta.scoreUnit);
    if (track.score[a][row] < limit || track.score[b][row] < limit || track.score[c][row] < limit) return null;
    const xy = track.xy, aspect = this.meta.aspect;
    const ux = (xy[2 * a][row] - xy[2 * b][row]) * aspect, uy = xy[2 * a + 1][row] - xy[2 * b + 1][row];
    const vx = (xy[2 * c][row] - xy[2 * b][row]) * aspect, vy = xy[2 * c + 1][row] - xy[2 * b + 1][row];
    if ((!ux && !uy) || (!vx && !vy)) return null;
    return Math.abs(Math.atan2(ux * vy - uy * vx, ux * vx + uy * vy)) * 180 / Math.PI;
  }

  // Stretches in which a joint stays below the threshold, the longest first.
  stretches(threshold, shortest) {
    const limit = threshold * this.meta.scoreUnit, found = [];
    for (const track of this.tracks) {
      track.score.forEach((scores, joint) => {
        if (!scores.some((value) => value > 0)) return; // a joint the model does not know
        let first = -1, total = 0;
        const end = (row) => {
          if (first < 0) return;
          const from = this.times[track.frame[first]], last = track.frame[row - 1];
          const seconds = this.times[last] + this.step(last) - from;
          if (seconds >= shortest) {
            found.push({ track: track.number, joint, first: track.frame[first], last, seconds, mean: total / (row - first) });
          }
          first = -1;
          total = 0;
        };
        for (let row = 0; row < scores.length; row++) {
          if (row && track.frame[row] !== track.frame[row - 1] + 1) end(row);
          if (scores[row] >= limit) { end(row); continue; }
          if (first < 0) first = row;
          total += scores[row] / this.meta.scoreUnit;
        }
        end(scores.length);
      });
    }
    return found.sort((a, b) => b.seconds - a.seconds || a.first - b.first);
  }
}

function clock(seconds) {
  const sign = seconds < 0 ? "-" : "", whole = Math.abs(seconds);
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const rest = (whole % 60).toFixed(2).padStart(5, "0");
  return `${sign}${hours ? `${hours}:${String(minutes).padStart(2, "0")}` : minutes}:${rest}`;
}
