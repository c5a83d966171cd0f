// A small viewer of one GLB mesh: WebGL 2, no dependencies, works from file://.
"use strict";
(() => {
  const canvas = document.getElementById("viewer");
  if (!canvas) return;
  const message = document.getElementById("viewer-message");
  const gl = canvas.getContext("webgl2", { antialias: true, alpha: true });
  if (!gl) {
    message.textContent = "This browser offers no WebGL 2. The model is in mesh.glb.";
    return;
  }

  // ---- The mesh: a GLB with positions, normals, linear 16-bit colours -------------
  function readGlb(base64) {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const jsonLength = view.getUint32(12, true);
    const text = new TextDecoder().decode(bytes.subarray(20, 20 + jsonLength));
    const gltf = JSON.parse(text);
    const binary = 20 + jsonLength + 8;
    const types = { 5123: Uint16Array, 5125: Uint32Array, 5126: Float32Array };
    const sizes = { SCALAR: 1, VEC3: 3, VEC4: 4 };
    const read = (index) => {
      const accessor = gltf.accessors[index];
      const start = binary + gltf.bufferViews[accessor.bufferView].byteOffset;
      const Type = types[accessor.componentType];
      return new Type(bytes.buffer, start, accessor.count * sizes[accessor.type]);
    };
    const primitive = gltf.meshes[0].primitives[0];
    return {
      positions: read(primitive.attributes.POSITION),
      normals: read(primitive.attributes.NORMAL),
      colors: read(primitive.attributes.COLOR_0),
      indices: read(primitive.indices),
    };
  }

  // ---- Shading ----------------------------------------------------------------------
  const vertexSource = `#version 300 es
    in vec3 position; in vec3 normal; in vec4 color;
    uniform mat4 worldToClip;
    out vec3 worldNormal; out vec3 worldPosition; out vec3 linearColor;
    void main() {
      worldNormal = normal; worldPosition = position; linearColor = color.rgb;
      gl_Position = worldToClip * vec4(position, 1.0);
    }`;
  const fragmentSource = `#version 300 es
    precision highp float;
    in vec3 worldNormal; in vec3 worldPosition; in vec3 linearColor;
    uniform vec3 eye; uniform int shading;
    out vec4 result;
    vec3 toSrgb(vec3 c) {
      c = clamp(c, 0.0, 1.0);
      return mix(12.92 * c, 1.055 * pow(c, vec3(1.0 / 2.4)) - 0.055,
                 step(0.0031308, c));
    }
    void main() {
      vec3 n = normalize(worldNormal);
      vec3 toEye = normalize(eye - worldPosition);
      if (shading == 0) { result = vec4(toSrgb(linearColor), 1.0); return; }
      if (shading == 2) { result = vec4(0.5 + 0.5 * n, 1.0); return; }
      vec3 key = normalize(toEye + vec3(-0.35, 0.65, 0.0));
      float light = 0.32 + 0.16 * n.y + 0.62 * max(dot(n, key), 0.0);
      vec3 base = shading == 1 ? linearColor * 1.25 : vec3(0.62, 0.58, 0.54);
      result = vec4(toSrgb(base * light), 1.0);
    }`;

  function compile(type, source) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) {
      throw new Error(gl.getShaderInfoLog(shader));
    }
    return shader;
  }

  let program, uniforms, count;
  function setUp() {
    const mesh = readGlb(document.getElementById("mesh-data").textContent.trim());
    program = gl.createProgram();
    gl.attachShader(program, compile(gl.VERTEX_SHADER, vertexSource));
    gl.attachShader(program, compile(gl.FRAGMENT_SHADER, fragmentSource));
    gl.linkProgram(program);
    gl.useProgram(program);
    uniforms = Object.fromEntries(
      ["worldToClip", "eye", "shading"].map((name) => [
        name, gl.getUniformLocation(program, name)]));
    gl.bindVertexArray(gl.createVertexArray());
    const attribute = (name, values, size, type, normalized) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
      const location = gl.getAttribLocation(program, name);
      gl.enableVertexAttribArray(location);
      gl.vertexAttribPointer(location, size, type, normalized, 0, 0);
    };
    attribute("position", mesh.positions, 3, gl.FLOAT, false);
    attribute("normal", mesh.normals, 3, gl.FLOAT, false);
    attribute("color", mesh.colors, 4, gl.UNSIGNED_SHORT, true);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, mesh.indices, gl.STATIC_DRAW);
    count = mesh.indices.length;
    gl.enable(gl.DEPTH_TEST);
  }

  // ---- Camera: an orbit about the origin, starting at the input's own view -----------
  const start = JSON.parse(canvas.dataset.camera);
  const home = {
    azimuth: (start.azimuth_deg * Math.PI) / 180,
    elevation: (start.elevation_deg * Math.PI) / 180,
    radius: start.radius,
  };
  const camera = { ...home };
  const limit = (1.55 * Math.PI) / 3.15;

  function worldToClip(aspect) {
    const { azimuth: a, elevation: e, radius: r } = camera;
    const back = [Math.sin(a) * Math.cos(e), Math.sin(e), Math.cos(a) * Math.cos(e)];
    const right = [Math.cos(a), 0, -Math.sin(a)];
    const up = [
      back[1] * right[2] - back[2] * right[1],
      back[2] * right[0] - back[0] * right[2],
      back[0] * right[1] - back[1] * right[0],
    ];
    const near = Math.max(0.02, r - 1.6), far = r + 1.6;
    // The field of view is that of the shorter side, so that nothing is cut off.
    const f = 1 / Math.tan((start.fov_y_deg * Math.PI) / 360);
    const fx = aspect > 1 ? f / aspect : f, fy = aspect > 1 ? f : f * aspect;
    const A = (far + near) / (near - far), B = (2 * far * near) / (near - far);
    const matrix = new Float32Array(16);
    for (let i = 0; i < 3; i++) {
      matrix[4 * i] = fx * right[i];
      matrix[4 * i + 1] = fy * up[i];
      matrix[4 * i + 2] = A * back[i];
      matrix[4 * i + 3] = -back[i];
    }
    matrix[14] = -A * r + B;
    matrix[15] = r;
    return { matrix, eye: back.map((value) => value * r) };
  }

  // ---- Drawing, only when something changed -------------------------------------------
  let shading = 0, isSpinning = false, isQueued = false, lastTime = 0;
  function draw(time) {
    isQueued = false;
    if (isSpinning) {
      const elapsed = lastTime ? Math.min(time - lastTime, 100) : 0;
      camera.azimuth += elapsed * 0.0005;
      lastTime = time;
    }
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const { matrix, eye } = worldToClip(width / height);
    gl.uniformMatrix4fv(uniforms.worldToClip, false, matrix);
    gl.uniform3fv(uniforms.eye, eye);
    gl.uniform1i(uniforms.shading, shading);
    gl.drawElements(gl.TRIANGLES, count, gl.UNSIGNED_INT, 0);
    if (isSpinning) queue();
  }
  function queue() {
    if (!isQueued) {
      isQueued = true;
      requestAnimationFrame(draw);
    }
  }
  function turn(azimuth, elevation, zoom = 1) {
    camera.azimuth += azimuth;
    camera.elevation = Math.min(limit, Math.max(-limit, camera.elevation + elevation));
    camera.radius = Math.min(4, Math.max(0.7, camera.radius * zoom));
    queue();
  }

  // ---- Hands on: mouse, touch, keyboard, buttons -------------------------------------
  const pointers = new Map();
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    setSpinning(false);
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const before = pointers.size === 2 ? spread() : 0;
    const dx = event.clientX - last.x, dy = event.clientY - last.y;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (pointers.size === 2) turn(0, 0, before / Math.max(spread(), 1));
    else if (pointers.size === 1) turn(-dx * 0.008, dy * 0.008);
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, (event) => pointers.delete(event.pointerId));
  }
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas) return; // let the page scroll
    event.preventDefault();
    turn(0, 0, Math.exp(event.deltaY * 0.001));
  }, { passive: false });
  canvas.addEventListener("dblclick", reset);
  canvas.addEventListener("keydown", (event) => {
    const moves = {
      ArrowLeft: [-0.12, 0], ArrowRight: [0.12, 0],
      ArrowUp: [0, 0.12], ArrowDown: [0, -0.12],
      "+": [0, 0, 0.92], "=": [0, 0, 0.92], "-": [0, 0, 1.09],
    };
    if (event.key in moves) turn(...moves[event.key]);
    else if (event.key === "0" || event.key === "Home") reset();
    else return;
    setSpinning(false);
    event.preventDefault();
  });

  function reset() {
    Object.assign(camera, home);
    setSpinning(false);
    queue();
  }
  const spinButton = document.getElementById("spin");
  function setSpinning(value) {
    isSpinning = value;
    lastTime = 0;
    spinButton.setAttribute("aria-pressed", String(value));
    queue();
  }
  spinButton.addEventListener("click", () => setSpinning(!isSpinning));
  document.getElementById("reset").addEventListener("click", reset);
  const modes = [...document.querySelectorAll("[data-shading]")];
  for (const button of modes) {
    button.addEventListener("click", () => {
      shading = Number(button.dataset.shading);
      for (const other of modes) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      queue();
    });
  }

  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => { setUp(); queue(); });
  try {
    setUp();
  } catch (error) {
    message.textContent = `The model cannot be shown here (${error.message}).`;
    return;
  }
  message.remove();
  canvas.dataset.ready = "true";
  new ResizeObserver(queue).observe(canvas);
  queue();
})();
