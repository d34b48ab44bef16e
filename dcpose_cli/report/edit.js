// The chosen track: its commands, and buttons that write a script for `dcpose edit`.

// A file name as one word of a command line.
function word(name) {
  return /^[\w.+-]+$/.test(name) && !name.startsWith("-") ? name : `"${name.replace(/(["$`\\])/g, "\\$1")}"`;
}

class Editor {
  // choose: called with the number of a track that was clicked on.
  constructor(data, stage, plots, choose) {
    Object.assign(this, { data, stage, plots, choose, moving: false });
    const name = data.meta.title, stem = name.replace(/\.json$/i, "");
    this.file = (ending) => word(stem + ending);
    this.source = word(name);
    el("edit-command").textContent = `dcpose edit ${this.source} --script edits.txt --out ${this.file("_edited.json")}`;
    const here = () => data.index[Math.max(0, stage.frame)];
    const other = () => data.tracks[Number(el("edit-other").value)]?.id;
    const buttons = {
      "edit-split": () => `split ${this.id} at ${here()}`,
      "edit-delete": () => `delete ${this.id}`,
      "edit-sides": () => `swap-sides ${this.id} from ${here()}`,
      "edit-merge": () => `merge ${this.id} ${other()}`,
      "edit-ids": () => `swap-ids ${this.id} ${other()} from ${here()}`,
    };
    for (const [id, line] of Object.entries(buttons)) el(id).addEventListener("click", () => this.add(line()));
    el("edit-move").addEventListener("click", () => this.setMoving(!this.moving));
    el("edit-undo").addEventListener("click", () => this.undo());
    el("edit-save").addEventListener("click", () => this.save());
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.addEventListener("click", () => navigator.clipboard?.writeText(el(button.dataset.copy).textContent));
    }
    stage.canvas.addEventListener("click", (event) => this.clicked(event));
  }

  get id() { return this.data.tracks[this.plots.track]?.id; }

  // Show another track.
  show(number) {
    const { data } = this, track = data.tracks[number], none = data.tracks.length < 2;
    if (!track) return;
    el("edit-track").textContent = `#${track.id}`;
    el("edit-convert").textContent =
      `dcpose convert ${this.source} --format csv --out ${this.file(`_track${track.id}.csv`)} --track ${track.id}`;
    const before = el("edit-other").value;
    el("edit-other").replaceChildren(...data.tracks.filter((one) => one !== track).map((one) => new Option(`#${one.id}`, one.number)));
    if ([...el("edit-other").options].some((option) => option.value === before)) el("edit-other").value = before;
    for (const id of ["edit-other", "edit-merge", "edit-ids"]) el(id).disabled = none;
    this.setMoving(false);
  }

  add(line) {
    const script = el("edit-script");
    script.value += `${script.value && !script.value.endsWith("\n") ? "\n" : ""}${line}\n`;
    script.scrollTop = script.scrollHeight;
  }

  undo() {
    const lines = el("edit-script").value.trimEnd().split("\n");
    el("edit-script").value = lines.slice(0, -1).map((line) => `${line}\n`).join("");
  }

  save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([el("edit-script").value], { type: "text/plain" }));
    link.download = "edits.txt";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  setMoving(on) {
    this.moving = on;
    el("edit-move").setAttribute("aria-pressed", on);
    this.stage.canvas.style.cursor = on ? "crosshair" : "pointer";
  }

  clicked(event) {
    const { data, stage } = this, place = stage.canvas.getBoundingClientRect();
    // (0, 0) is the centre of the first pixel.
    const x = (event.clientX - place.left) / place.width * data.meta.width - 0.5;
    const y = (event.clientY - place.top) / place.height * data.meta.height - 0.5;
    if (this.moving) this.move(x, y);
    else {
      const found = data.personAt(stage.frame, x, y, stage.hidden);
      if (found >= 0) this.choose(found);
    }
  }

  move(x, y) {
    const { data, stage, plots } = this, track = data.tracks[plots.track], joint = plots.joint;
    const row = track ? track.frame.indexOf(stage.frame) : -1;
    if (row < 0) { el("note").textContent = `#${track?.id} is not in this frame.`; return; }
    el("note").textContent = "";
    this.add(`move ${track.id} ${data.meta.joints[joint]} at ${data.index[stage.frame]} to ${x.toFixed(1)} ${y.toFixed(1)}`);
    data.moveJoint(track, joint, row, x, y);
    stage.draw();
  }
}
