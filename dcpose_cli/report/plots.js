// Trajectory, confidence and joint angles of one track over time.

const ANGLES = [
  ["left elbow", "left_shoulder", "left_elbow", "left_wrist", "#7cc4ff", true],
  ["right elbow", "right_shoulder", "right_elbow", "right_wrist", "#2f7fd6", true],
  ["left knee", "left_hip", "left_knee", "left_ankle", "#ffc46b", true],
  ["right knee", "right_hip", "right_knee", "right_ankle", "#d6792f", true],
  ["left shoulder", "left_elbow", "left_shoulder", "left_hip", "#b6f09c", false],
  ["right shoulder", "right_elbow", "right_shoulder", "right_hip", "#4fa02f", false],
  ["left hip", "left_shoulder", "left_hip", "left_knee", "#e3a6ff", false],
  ["right hip", "right_shoulder", "right_hip", "right_knee", "#9a3fd0", false],
];

class Plots {
  constructor(data, stage, places) {
    Object.assign(this, { data, stage, places, charts: [] });
    this.track = 0;
    this.joint = 0;
    this.threshold = 0.3;
  }

  // A column over all frames from the track's first to its last one; null where it is absent or has no value.
  column(track, value) {
    const first = track.frame[0], length = track.frame[track.count - 1] - first + 1;
    const out = new Array(length).fill(null);
    for (let row = 0; row < track.count; row++) out[track.frame[row] - first] = value(row);
    return out;
  }

  show(trackNumber, joint) {
    this.track = trackNumber;
    this.joint = joint;
    for (const chart of this.charts) chart.destroy();
    this.charts = [];
    const { data } = this, track = data.tracks[trackNumber];
    if (!track) return;
    const first = track.frame[0];
    const times = Array.from(data.times.subarray(first, track.frame[track.count - 1] + 1));
    const there = (read) => this.column(track, (row) => (track.score[joint][row] ? read(row) : null));
    const name = data.meta.joints[joint].replace("_", " ");
    const fixed = (digits) => (_, value) => (value == null ? "-" : value.toFixed(digits));
    this.add(this.places[0], `${name}: place (pixels)`, 170, [
      { label: "x", stroke: "#7cc4ff", value: fixed(1) }, { label: "y", stroke: "#ffc46b", value: fixed(1) },
    ], [times, there((row) => data.x(track, joint, row)), there((row) => data.y(track, joint, row))]);
    this.add(this.places[1], `${name}: confidence`, 120, [
      { label: "confidence", stroke: "#b6f09c", value: fixed(2), fill: "#b6f09c22" },
      { label: "threshold", stroke: "#ff7a7a", dash: [4, 4], value: fixed(2) },
    ], [times, there((row) => data.score(track, joint, row)), times.map(() => this.threshold)], [0, 0.5, 1]);
    const slot = (joint) => data.meta.joints.indexOf(joint);
    this.add(this.places[2], "angles (degrees, 180 is a straight limb)", 190,
      ANGLES.map(([label, , , , stroke, show]) => ({ label, stroke, show, value: fixed(0) })),
      [times, ...ANGLES.map(([, a, b, c]) => {
        const corner = [slot(a), slot(b), slot(c)];
        return this.column(track, (row) => data.angle(track, corner, row, this.threshold));
      })], [0, 45, 90, 135, 180]);
    this.mark(this.stage.frame);
  }

  add(place, title, height, series, columns, steps) {
    const axis = { stroke: "#9aa3ae", grid: { stroke: "#2b313a" }, ticks: { stroke: "#343a44" } };
    const options = {
      title, height, width: Math.max(200, place.clientWidth),
      cursor: { sync: { key: "dcpose" }, drag: { x: true, y: false } },
      scales: {
        x: { time: false },
        y: steps ? { range: (_, low, high) => [steps[0], Math.max(steps.at(-1), high ?? 0)] } : {},
      },
      axes: [
        { ...axis, size: 30, space: 70, values: (_, ticks) => ticks.map(clock) },
        { ...axis, size: 54, ...(steps ? { splits: () => steps } : { space: 24 }) },
      ],
      series: [{ label: "time", value: (_, value) => (value == null ? "-" : clock(value)) },
        ...series.map((one) => ({ width: 1.4, spanGaps: false, points: { show: false }, ...one }))],
    };
    const chart = new uPlot(options, columns, place);
    chart.now = document.createElement("div");
    chart.now.className = "now";
    chart.over.append(chart.now);
    let pressed = 0;
    chart.over.addEventListener("pointerdown", (event) => { pressed = event.clientX; });
    chart.over.addEventListener("click", (event) => {
      if (Math.abs(event.clientX - pressed) < 4) this.stage.seekTime(chart.posToVal(event.offsetX, "x"));
    });
    chart.hooks.draw = [() => this.mark(this.stage.frame)]; // uPlot lays a plot out after this call, and again when its ticks change
    this.charts.push(chart);
  }

  resize() {
    this.charts.forEach((chart, i) => chart.setSize({ width: Math.max(200, this.places[i].clientWidth), height: chart.height }));
    this.mark(this.stage.frame);
  }

  mark(frame) {
    for (const chart of this.charts) {
      const { min, max } = chart.scales.x, time = frame < 0 ? NaN : this.data.times[frame];
      const inside = time >= min && time <= max;
      chart.now.hidden = !inside;
      if (inside) chart.now.style.left = `${chart.valToPos(time, "x")}px`;
    }
  }
}
