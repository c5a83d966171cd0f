// Checks GLB files with the Khronos validator; exits 1 when one has an error.
//
//   npm install --prefix FOLDER gltf-validator@2.0.0-dev.3.10
//   NODE_PATH=FOLDER/node_modules node tools/validate_glb.mjs mesh.glb ...

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { validateBytes } = createRequire(import.meta.url)("gltf-validator");

const paths = process.argv.slice(2);
if (paths.length === 0) {
  console.error("usage: node tools/validate_glb.mjs FILE.glb ...");
  process.exit(2);
}

let hasErrors = false;
for (const path of paths) {
  const report = await validateBytes(new Uint8Array(readFileSync(path)), {
    uri: path,
  });
  const { numErrors, numWarnings, messages } = report.issues;
  const { totalVertexCount, totalTriangleCount } = report.info;
  console.log(
    `${path}: ${numErrors} errors, ${numWarnings} warnings, ` +
      `${totalVertexCount} vertices, ${totalTriangleCount} triangles`,
  );
  for (const { code, message, pointer } of messages) {
    console.log(`  ${code} at ${pointer}: ${message}`);
  }
  hasErrors ||= numErrors > 0;
}
process.exit(hasErrors ? 1 : 0);
