// Doubtful seconds (results/quality.py): marks below the rows of the timeline, and a list to click through.

const DOUBT_COLOURS = ["#ff9f43", "#ff5c8a", "#c77dff", "#4cc9f0", "#8ea0b5"]; // in the order of meta.reasons
const MOST_DOUBTS = 400, MARK_HEIGHT = 4;

class Doubts {
  // meta.doubts: [track's place, second, flags] with flag 1 << n for meta.reasons[n], by time. seek: to a time. choose: a track.
  constructor(data, seek, choose) {
    Object.assign(this, { data, seek, choose });
    this.all = data.meta.doubts.map(([track, second, flags]) => ({ track, from: second - data.offset, flags }));
    this.byTrack = data.tracks.map(() => []);
    for (const one of this.all) this.byTrack[one.track].push(one);
  }

  bits(one) { return this.data.meta.reasons.map((_, bit) => bit).filter((bit) => one.flags & (1 << bit)); }

  reasons(one) { return this.bits(one).map((bit) => this.data.meta.reasons[bit]).join(", "); }

  // What the colours of the marks mean: those that occur.
  legend(box) {
    const seen = this.all.reduce((flags, one) => flags | one.flags, 0);
    for (const bit of this.bits({ flags: seen })) {
      const mark = document.createElement("i"), label = document.createElement("span");
      mark.style.background = DOUBT_COLOURS[bit];
      label.append(mark, this.data.meta.reasons[bit]);
      box.append(label);
    }
  }

  fill(box) {
    box.replaceChildren(...this.all.slice(0, MOST_DOUBTS).map((one) => this.button(one)));
    const more = this.all.length - MOST_DOUBTS;
    if (!this.all.length) box.append("none");
    if (more > 0) box.append(`and ${more} later ones`);
  }

  button(one) {
    const button = document.createElement("button"), track = this.data.tracks[one.track];
    for (const text of [`#${track.id}`, this.reasons(one), clock(Math.max(0, one.from))]) {
      button.append(Object.assign(document.createElement("span"), { textContent: text }));
    }
    button.title = "go to its first frame";
    button.addEventListener("click", () => {
      const first = track.frame.find((frame) => this.data.times[frame] >= one.from - 1e-6);
      this.seek(first ?? track.frame[0]);
      this.choose(one.track);
    });
    return button;
  }

  // One line of marks: context of a canvas, from `left` on, `columns` wide, at height `top`; span: [from, to] in seconds.
  draw(context, track, left, columns, top, [from, to]) {
    const scale = columns / (to - from);
    for (const one of this.byTrack[track]) {
      const first = Math.max(0, (one.from - from) * scale), last = Math.min(columns, (one.from + 1 - from) * scale);
      const colours = this.bits(one).map((bit) => DOUBT_COLOURS[bit]);
      colours.forEach((colour, place) => {
        context.fillStyle = colour;
        const width = Math.max(1, (last - first) / colours.length);
        context.fillRect(left + first + place * width, top, width, MARK_HEIGHT);
      });
    }
  }
}
