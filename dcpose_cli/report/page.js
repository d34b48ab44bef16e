// The page's parts wired together.

const MOST_STRETCHES = 400;
const el = (id) => document.getElementById(id);

function listTracks(data, stage, changed, pick) {
  const box = el("tracks");
  if (!data.tracks.length) box.textContent = "nobody was found";
  // Without anybody there is nothing to choose, correct, plot or doubt.
  for (const id of ["all", "none", "timeline", "edit", "plots", "weak"]) el(id).hidden = !data.tracks.length;
  for (const track of data.tracks) {
    const label = document.createElement("label"), check = document.createElement("input"), colour = document.createElement("i");
    const id = document.createElement("span"), facts = document.createElement("span");
    check.type = "checkbox";
    check.checked = true;
    check.dataset.track = track.id;
    colour.style.background = track.colours[2];
    id.textContent = `#${track.id}`;
    facts.className = "facts";
    facts.textContent = `${track.count} ${track.count === 1 ? "frame" : "frames"} from ${clock(data.times[track.frame[0]])}`;
    label.append(check, colour, id, facts);
    check.addEventListener("change", () => {
      if (check.checked) stage.hidden.delete(track.number); else stage.hidden.add(track.number);
      changed();
    });
    id.addEventListener("click", (event) => { event.preventDefault(); pick(track.number); });
    id.title = "choose this track";
    box.append(label);
  }
  const all = (shown) => {
    for (const check of box.querySelectorAll("input")) check.checked = shown;
    stage.hidden = new Set(shown ? [] : data.tracks.map((track) => track.number));
    changed();
  };
  el("all").addEventListener("click", () => all(true));
  el("none").addEventListener("click", () => all(false));
}

class Stretches {
  constructor(data, stage, choose) {
    Object.assign(this, { data, stage, choose, list: [], ordered: [] });
    for (const id of ["threshold", "shortest"]) el(id).addEventListener("change", () => this.fill());
  }

  fill() {
    const { data } = this, box = el("stretches");
    this.list = data.stretches(Number(el("threshold").value), Number(el("shortest").value));
    this.ordered = [...this.list].sort((a, b) => a.first - b.first);
    box.replaceChildren(...this.list.slice(0, MOST_STRETCHES).map((one) => this.button(one)));
    const more = this.list.length - MOST_STRETCHES;
    if (!this.list.length) box.append("none");
    if (more > 0) box.append(`and ${more} shorter ones`);
  }

  button(one) {
    const { data } = this, button = document.createElement("button");
    const parts = [`#${data.tracks[one.track].id}`, data.meta.joints[one.joint].replace("_", " "),
      `${clock(data.times[one.first])}  ${one.seconds.toFixed(2)} s  ${one.mean.toFixed(2)}`];
    for (const text of parts) button.append(Object.assign(document.createElement("span"), { textContent: text }));
    button.title = "go to its beginning";
    button.addEventListener("click", () => this.go(one, button));
    return button;
  }

  go(one, button) {
    for (const other of el("stretches").querySelectorAll(".here")) other.classList.remove("here");
    button?.classList.add("here");
    this.stage.pause();
    this.stage.seek(one.first);
    this.choose(one.track, one.joint);
  }

  // The stretch that begins next to the current frame: direction 1 after it, -1 before it.
  jump(direction) {
    const now = this.stage.frame, after = this.ordered.filter((one) => (direction > 0 ? one.first > now : one.first < now));
    const one = direction > 0 ? after[0] : after[after.length - 1];
    if (one) this.go(one, el("stretches").children[this.list.indexOf(one)]);
  }
}

function startVideo(meta, stage, video, note) {
  if (!meta.video) { note("The page has no video: skeletons on black."); return; }
  const embedded = el("clip").textContent;
  video.addEventListener("error", () => {
    stage.withVideo = false;
    video.hidden = true;
    note(`The browser cannot play ${meta.video.name}${embedded ? "" : " (is it still beside this page?)"}: skeletons on black.`);
  });
  video.addEventListener("loadedmetadata", () => { stage.useVideo(); stage.seek(stage.frame); }, { once: true });
  video.src = embedded ? URL.createObjectURL(new Blob([bytesOf(embedded)], { type: meta.video.mime })) : meta.video.source;
}

function keyboard(stage, stretches) {
  const jump = (seconds) => { stage.pause(); stage.seekTime(stage.data.times[Math.max(0, stage.frame)] + seconds); };
  const keys = {
    " ": () => stage.toggle(), ArrowLeft: (shift) => (shift ? jump(-1) : stage.step(-1)),
    ArrowRight: (shift) => (shift ? jump(1) : stage.step(1)), Home: () => stage.seek(0),
    End: () => stage.seek(stage.data.frames - 1), "[": () => stretches.jump(-1), "]": () => stretches.jump(1),
    h: () => el("show").click(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.target.tagName === "INPUT" && event.target.type === "number") return;
    if (keys[event.key]) { event.preventDefault(); keys[event.key](event.shiftKey); }
  });
}

function fitStage(meta) {
  // As large as the column allows, and never higher than most of the window.
  const box = el("stage"), room = el("view").clientWidth - 24, high = Math.max(240, window.innerHeight * 0.66);
  const width = meta.width * meta.aspect, scale = Math.min(room / width, high / meta.height);
  box.style.width = `${Math.round(width * scale)}px`;
  box.style.height = `${Math.round(meta.height * scale)}px`;
}

async function main() {
  const meta = JSON.parse(el("meta").textContent);
  const note = (text) => { el("note").textContent = text; };
  const buffer = await inflate(bytesOf(el("data").textContent));
  el("data").textContent = "";
  const first = new Float64Array(buffer, 0, 1)[0];
  const data = new PoseData(meta, buffer, meta.video ? meta.video.start : first);
  const stage = new Stage(data, el("video"), el("overlay"), (frame) => {
    el("where").textContent = frame < 0 ? "outside of the result" : `frame ${data.index[frame]}   ${clock(data.times[frame])}`;
    timeline.mark(frame);
    plots.mark(frame);
  });
  const choose = (track, joint) => {
    el("track").value = track;
    el("joint").value = joint;
    plots.show(track, joint);
    editor.show(track);
  };
  const doubts = new Doubts(data, (frame) => { stage.pause(); stage.seek(frame); }, (track) => choose(track, plots.joint));
  const timeline = new Timeline(data, stage, el("rowbox"), el("rowcanvas"), el("playhead"), (track) => {
    if (track !== plots.track) choose(track, plots.joint);
  }, doubts);
  const plots = new Plots(data, stage, [el("plot-place"), el("plot-score"), el("plot-angle")]);
  const editor = new Editor(data, stage, plots, (track) => choose(track, plots.joint));
  const stretches = new Stretches(data, stage, choose);

  document.title = `${meta.title} - dcpose`;
  el("title").textContent = meta.title;
  el("about").textContent = [`${data.frames} frames, ${data.tracks.length} ${data.tracks.length === 1 ? "track" : "tracks"}`, ...meta.about,
    ...(meta.damaged.length ? [`${meta.damaged.length} damaged frames`] : [])].join(" · ");
  note("");
  listTracks(data, stage, () => { stage.draw(); timeline.resize(); }, (track) => choose(track, plots.joint));
  data.tracks.forEach((track) => el("track").append(new Option(`#${track.id}`, track.number)));
  meta.joints.forEach((name, joint) => el("joint").append(new Option(name.replace("_", " "), joint)));
  for (const id of ["track", "joint"]) {
    el(id).addEventListener("change", () => choose(Number(el("track").value), Number(el("joint").value)));
  }
  el("play").addEventListener("click", () => stage.toggle());
  el("back").addEventListener("click", () => stage.step(-1));
  el("forward").addEventListener("click", () => stage.step(1));
  el("speed").addEventListener("change", () => stage.setSpeed(Number(el("speed").value)));
  el("show").addEventListener("change", () => { stage.visible = el("show").checked; stage.draw(); });
  el("boxes").addEventListener("change", () => { stage.withBoxes = el("boxes").checked; stage.draw(); });
  el("sound").addEventListener("change", () => { el("video").muted = !el("sound").checked; });
  el("soundlabel").hidden = !meta.video;
  el("threshold").addEventListener("change", () => {
    stage.threshold = plots.threshold = Number(el("threshold").value);
    stage.draw();
    plots.show(plots.track, plots.joint);
  });
  stage.onstate = () => { el("play").textContent = stage.playing ? "Pause" : "Play"; };
  keyboard(stage, stretches);

  const layout = () => { fitStage(meta); stage.resize(); timeline.resize(); plots.resize(); };
  fitStage(meta);
  const longest = data.tracks.reduce((best, track) => (track.count > best.count ? track : best), { count: 0, number: 0 });
  if (data.tracks.length) choose(longest.number, Math.max(0, meta.joints.indexOf("right_wrist")));
  stretches.fill();
  doubts.fill(el("doubts"));
  doubts.legend(el("legend"));
  layout();
  stage.show(0);
  stage.onframe(0);
  window.addEventListener("resize", layout);
  startVideo(meta, stage, el("video"), note);
  window.dcpose = { data, stage, timeline, plots, stretches, doubts, editor, opened: performance.now() };
  document.documentElement.dataset.ready = "yes";
}

main().catch((error) => {
  el("note").textContent = `This page cannot be shown: ${error.message}. A browser from 2023 or later is needed.`;
  throw error;
});
