// One row per track: when it is there, how sure its joints are (the brighter the surer), and its doubtful seconds.

class Timeline {
  constructor(data, stage, box, canvas, playhead, onpick, doubts) {
    Object.assign(this, { data, stage, box, canvas, playhead, onpick, doubts });
    this.rowHeight = 20; // a bar, and the marks of doubtful seconds below it
    this.barHeight = 10;
    this.left = 44;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.seek(event);
      const track = data.tracks[Math.floor(event.offsetY / this.rowHeight)];
      if (track) this.onpick(track.number);
    });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) this.seek(event); });
  }

  get span() {
    const times = this.data.times, last = this.data.frames - 1;
    return [times[0], times[last] + this.data.step(last)];
  }

  seek(event) {
    const [from, to] = this.span, share = (event.offsetX - this.left) / (this.width - this.left);
    this.stage.seekTime(from + Math.min(Math.max(share, 0), 1) * (to - from));
  }

  resize() {
    const ratio = window.devicePixelRatio || 1, rows = Math.max(1, this.data.tracks.length);
    this.width = this.box.clientWidth;
    const height = rows * this.rowHeight + 2;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.max(1, Math.round(this.width * ratio));
    this.canvas.height = Math.min(Math.round(height * ratio), 16000);
    const context = this.canvas.getContext("2d");
    context.scale(this.canvas.width / this.width, this.canvas.height / height);
    this.data.tracks.forEach((track, row) => this.drawRow(context, track, row * this.rowHeight));
    this.mark(this.stage.frame);
  }

  drawRow(context, track, top) {
    const { data, left } = this, [from, to] = this.span, columns = Math.max(1, Math.floor(this.width - left));
    const sum = new Float32Array(columns), count = new Float32Array(columns);
    const known = track.score.filter((scores) => scores.some((value) => value > 0));
    const scale = columns / (to - from);
    for (let row = 0; row < track.count; row++) {
      let total = 0;
      for (const scores of known) total += scores[row];
      const mean = known.length ? total / known.length / data.meta.scoreUnit : 0;
      const first = Math.floor((data.times[track.frame[row]] - from) * scale);
      const last = Math.floor((data.times[track.frame[row]] + data.step(track.frame[row]) - from) * scale);
      for (let column = first; column <= Math.min(Math.max(first, last - 1), columns - 1); column++) {
        sum[column] += mean;
        count[column]++;
      }
    }
    const shown = !this.stage.hidden.has(track.number);
    context.fillStyle = shown ? "#e6e8eb" : "#6b7480";
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "right";
    context.fillText(`#${track.id}`, left - 6, top + 3 + this.barHeight / 2);
    context.fillStyle = "#262b33";
    context.fillRect(left, top + 2, columns, this.barHeight);
    const strength = (column) => count[column] ? Math.round(10 * Math.min(1, 0.25 + sum[column] / count[column])) : 0;
    for (let column = 0; column < columns;) {
      const level = strength(column);
      let end = column + 1;
      while (end < columns && strength(end) === level) end++;
      if (level) {
        context.globalAlpha = level / 10 * (shown ? 1 : 0.3);
        context.fillStyle = track.colours[2];
        context.fillRect(left + column, top + 2, end - column, this.barHeight);
        context.globalAlpha = 1;
      }
      column = end;
    }
    this.doubts.draw(context, track.number, left, columns, top + 3 + this.barHeight, [from, to]);
  }

  mark(frame) {
    if (frame < 0) return;
    const [from, to] = this.span;
    const share = (this.data.times[frame] - from) / (to - from);
    this.playhead.style.left = `${this.left + share * (this.width - this.left)}px`;
  }
}
