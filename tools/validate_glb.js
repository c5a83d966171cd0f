// Validates GLB files with the Khronos validator; exits 1 if one has an error.
//
//   npm install gltf-validator && node tools/validate_glb.js run/mesh.glb ...
"use strict";

const fs = require("fs");
const validator = require("gltf-validator");

async function main(paths) {
  if (paths.length === 0) {
    throw new Error("no file is given");
  }
  let numErrors = 0;
  for (const path of paths) {
    const bytes = new Uint8Array(fs.readFileSync(path));
    const { issues, info } = await validator.validateBytes(bytes, { uri: path });
    numErrors += issues.numErrors;
    console.log(
      `${path}: ${issues.numErrors} errors, ${issues.numWarnings} warnings, ` +
        `${info.totalVertexCount} vertices, ${info.totalTriangleCount} triangles`,
    );
    for (const { severity, code, message, pointer } of issues.messages) {
      if (severity <= 1) {
        console.log(`  ${code} at ${pointer}: ${message}`);
      }
    }
  }
  return numErrors;
}

main(process.argv.slice(2)).then(
  (numErrors) => process.exit(numErrors === 0 ? 0 : 1),
  (error) => {
    console.error(`error: ${error.message}`);
    process.exit(2);
  },
);
