// The viewer of the page: unpacks NiiVue and the volumes from the page itself, nothing is fetched.
(async () => {
  const box = document.getElementById("viewer");
  const message = document.getElementById("viewer-message");
  const control = (id) => document.getElementById(id);
  const data = JSON.parse(control("viewer-data").textContent);

  const unpack = async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const runScript = (code) => {
    const element = document.createElement("script");
    element.textContent = code;
    document.head.append(element);
  };

  try {
    runScript(await unpack(control("niivue").textContent.trim()));
    const nv = new niivue.Niivue({
      backColor: [0, 0, 0, 1], isColorbar: false, dragAndDropEnabled: false, loadingText: "", logLevel: "error",
      isRadiologicalConvention: false, showAllOrientationMarkers: true, fontColor: [1, 1, 1, 1], fontMinPx: 15, crosshairWidth: 0.6, crosshairWidthUnit: "mm", crosshairColor: [1, 1, 1, 0.5], show3Dcrosshair: true, multiplanarShowRender: 1,
    });
    await nv.attachToCanvas(box.querySelector("canvas"));
    // the colours of the figures: blue loses, red gains, told apart by colour-blind readers; brighter is more
    nv.addColormap("loss", { R: [12, 60, 158], G: [38, 125, 176], B: [52, 175, 255], A: [0, 160, 255], I: [0, 110, 255] });
    nv.addColormap("gain", { R: [60, 175, 255], G: [10, 85, 173], B: [2, 65, 173], A: [0, 160, 255], I: [0, 110, 255] });
    nv.addVolume(await niivue.NVImage.loadFromBase64({
      base64: data.base, name: "anatomy.nii.gz", colormap: "gray", cal_min: 0, cal_max: 255,
    }));
    for (const map of data.overlays) {
      const image = await niivue.NVImage.loadFromBase64({
        base64: map.data, name: `${map.name}, %.nii.gz`, colormap: "gain", colormapNegative: "loss", opacity: 0,
        cal_min: map.limit / 10, cal_max: map.limit, cal_minNeg: -map.limit / 10, cal_maxNeg: -map.limit,
      });
      nv.addVolume(image);
    }

    const middle = data.doses ? (data.doses.length - 1) / 2 : 0;
    const showOverlay = () => {
      const shown = Number(control("overlay").value);
      data.overlays.forEach((_, i) => nv.setOpacity(i + 1, i === shown ? Number(control("opacity").value) : 0));
      control("legend").hidden = shown < 0;
      if (shown >= 0) {
        const bound = data.overlays[shown].limit;
        const words = (share) => (share * bound).toLocaleString("en", { maximumFractionDigits: 1, signDisplay: "exceptZero" });
        const ticks = [-1, -0.5, 0, 0.5, 1].map((share) => Object.assign(document.createElement("li"), { textContent: words(share).replace("-", "\u2212") }));
        control("legend").querySelector("ol").replaceChildren(...ticks);
      }
    };
    const showFrame = (frame) => nv.setFrame4D(nv.volumes[0].id, frame);
    const showDose = () => {
      const frame = Number(control("dose").value);
      const dose = data.doses[frame];
      control("dose-text").textContent =
        frame === middle ? "the scan itself" : `${dose > 0 ? "inject" : "remove"}, dose ${Math.abs(dose).toFixed(2)}`;
      const side = Math.sign(dose);
      const match = data.overlays.findIndex((map) => map.side === side);
      if (side !== 0 && match >= 0 && Number(control("overlay").value) >= 0) control("overlay").value = match;
      showFrame(frame);
      showOverlay();
    };

    const steps = {
      ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowDown: [0, -1, 0], ArrowUp: [0, 1, 0], PageDown: [0, 0, -1], PageUp: [0, 0, 1],
    };
    box.querySelector("canvas").addEventListener("keydown", (event) => {
      if (!steps[event.key]) return;
      event.preventDefault();
      nv.moveCrosshairInVox(...steps[event.key]);
    });
    control("overlay").addEventListener("change", showOverlay);
    control("opacity").addEventListener("input", showOverlay);
    control("slices").addEventListener("change", (event) => nv.setSliceType(Number(event.target.value)));
    if (data.doses) {
      control("dose").addEventListener("input", showDose);
      let timer = 0;
      control("flicker").addEventListener("click", (event) => {
        const on = event.target.getAttribute("aria-pressed") !== "true";
        event.target.setAttribute("aria-pressed", String(on));
        clearInterval(timer);
        let scan = false;
        if (on) timer = setInterval(() => { scan = !scan; showFrame(scan ? middle : Number(control("dose").value)); }, 700);
        else showDose();
      });
      const wanted = /dose=(\d+)/.exec(location.hash); // a link to one frame of the path
      if (wanted) control("dose").value = wanted[1];
      showDose();
    }
    nv.setSliceType(Number(control("slices").value));
    if (data.start) nv.scene.crosshairPos = nv.mm2frac(data.start);
    nv.updateGLVolume();
    showOverlay();
    message.textContent = "";
    box.dataset.state = "drawn";
  } catch (error) {
    message.textContent = `The viewer could not start: ${error.message}. The figures and the NIfTI files show the same.`;
    box.dataset.state = "failed";
    console.error(error);
  }
})();
