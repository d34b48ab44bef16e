// The video, or a clock of its own where there is none, and the skeletons over it.

class Stage {
  // onframe: called with the position of the frame that is shown, -1 outside of the result.
  constructor(data, video, canvas, onframe) {
    Object.assign(this, { data, video, canvas, onframe });
    this.context = canvas.getContext("2d");
    this.hidden = new Set();
    this.visible = true;
    this.withBoxes = false;
    this.threshold = 0.3;
    this.speed = 1;
    this.frame = 0;
    this.target = -1;
    this.time = data.times[0];
    this.running = false;
  }

  // Use the video from now on; without this call a clock plays.
  useVideo() {
    this.withVideo = true;
    const follow = (_, shown) => {
      this.time = shown.mediaTime;
      // A seek has been drawn already; until its picture comes the old one may still be reported.
      if (!this.video.seeking) { this.target = -1; this.show(this.data.frameAt(this.time)); }
      this.video.requestVideoFrameCallback(follow);
    };
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(follow);
    else this.video.addEventListener("timeupdate", () => this.show(this.data.frameAt(this.video.currentTime)));
    for (const name of ["play", "pause", "ended"]) this.video.addEventListener(name, () => this.onstate?.());
  }

  get playing() { return this.withVideo ? !this.video.paused && !this.video.ended : this.running; }

  play() {
    if (this.frame >= this.data.frames - 1) this.seek(0);
    if (this.withVideo) {
      this.video.playbackRate = this.speed;
      return this.video.play();
    }
    this.running = true;
    let before = performance.now();
    const tick = (now) => {
      if (!this.running) return;
      this.time += (now - before) / 1000 * this.speed;
      before = now;
      const last = this.data.frames - 1;
      if (this.time >= this.data.times[last]) { this.show(last); this.pause(); return; }
      this.show(this.data.frameAt(this.time));
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
    this.onstate?.();
  }

  pause() {
    if (this.withVideo) this.video.pause();
    this.running = false;
    this.onstate?.();
  }

  toggle() { if (this.playing) this.pause(); else this.play(); }

  setSpeed(speed) {
    this.speed = speed;
    this.video.playbackRate = speed;
  }

  // Go to a frame. The time asked of the video lies inside the frame, so that rounding never shows its neighbour.
  seek(frame) {
    frame = Math.min(Math.max(frame, 0), this.data.frames - 1);
    this.time = this.data.times[frame];
    if (this.withVideo) {
      this.target = frame;
      this.video.currentTime = Math.max(0, this.time + Math.min(0.4 * this.data.step(frame), 0.02));
    }
    this.show(frame);
  }

  seekTime(time) {
    const times = this.data.times;
    this.seek(time <= times[0] ? 0 : Math.max(0, this.data.frameAt(Math.min(time, times[this.data.frames - 1]))));
  }

  step(frames) { this.pause(); this.seek((this.frame < 0 ? 0 : this.frame) + frames); }

  show(frame) {
    if (frame === this.frame && frame === this.drawn) return;
    this.frame = frame;
    this.draw();
    this.onframe(frame);
  }

  resize() {
    const ratio = window.devicePixelRatio || 1, place = this.canvas.getBoundingClientRect();
    this.canvas.width = Math.max(1, Math.round(place.width * ratio));
    this.canvas.height = Math.max(1, Math.round(place.height * ratio));
    this.draw();
  }

  draw() {
    const { data, canvas, context, frame } = this;
    this.drawn = frame;
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (frame < 0 || !this.visible) return;
    const fit = [canvas.width / data.meta.width, canvas.height / data.meta.height];
    for (let k = data.start[frame]; k < data.start[frame + 1]; k++) {
      const track = data.tracks[data.who[k]];
      if (!this.hidden.has(track.number)) this.drawPerson(track, data.row[k], fit);
    }
  }

  drawPerson(track, row, [fx, fy]) {
    const { data, context, canvas } = this, limit = Math.max(1, this.threshold * data.meta.scoreUnit);
    // (0, 0) is the centre of the first pixel.
    const px = (joint) => (data.x(track, joint, row) + 0.5) * fx, py = (joint) => (data.y(track, joint, row) + 0.5) * fy;
    const sure = (joint) => track.score[joint][row] >= limit;
    const shade = (joint) => {
      const name = data.meta.joints[joint];
      return track.colours[name.startsWith("left_") ? 0 : name.startsWith("right_") ? 1 : 2];
    };
    const [x, y, width, height] = track.box.map((column) => column[row] / data.meta.scale);
    const unit = Math.max(Math.sqrt(canvas.width * canvas.height) / 480, 0.8);
    const thick = Math.max(Math.min(3 * unit, Math.max(width * fx, height * fy) / 40), 1.6);
    const details = data.meta.details, seen = data.meta.edges.filter(([a, b]) => sure(a) && sure(b));
    const limbs = seen.filter(([a, b]) => !details.includes(a) && !details.includes(b));
    const line = ([a, b], wide, colour) => {
      context.lineWidth = wide;
      context.strokeStyle = colour;
      context.beginPath();
      context.moveTo(px(a), py(a));
      context.lineTo(px(b), py(b));
      context.stroke();
    };
    const disc = (joint, radius, colour) => {
      context.fillStyle = colour;
      context.beginPath();
      context.arc(px(joint), py(joint), radius, 0, 2 * Math.PI);
      context.fill();
    };
    context.lineCap = "round";
    if (this.withBoxes) {
      context.lineWidth = Math.max(1, unit);
      context.strokeStyle = track.colours[2];
      context.strokeRect(x * fx, y * fy, width * fx, height * fy);
    }
    // Fingers and faces lie under the body, which they do not cover.
    for (const limb of seen) if (!limbs.includes(limb)) line(limb, 0.3 * thick, shade(limb[1]));
    for (const joint of details) if (sure(joint)) disc(joint, 0.3 * thick, shade(joint));
    for (const limb of limbs) line(limb, 1.8 * thick, "#121216");
    for (const limb of limbs) line(limb, thick, shade(limb[1]));
    data.meta.joints.forEach((_, joint) => {
      if (!sure(joint) || details.includes(joint)) return;
      disc(joint, 1.25 * thick, "#121216");
      disc(joint, 0.9 * thick, shade(joint));
      disc(joint, 0.4 * thick, "#fff");
    });
    context.font = `600 ${Math.max(11 * (window.devicePixelRatio || 1), 9 * unit)}px system-ui, sans-serif`;
    context.textBaseline = "bottom";
    context.lineWidth = 3;
    context.strokeStyle = "#121216";
    const place = [Math.max(2, x * fx), Math.max(14 * unit, y * fy - 2)];
    context.strokeText(track.id, ...place);
    context.fillStyle = track.colours[2];
    context.fillText(track.id, ...place);
  }
}
