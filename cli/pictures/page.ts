/** A web page that classifies images with an exported network. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Trained } from './run-folder.ts';

/** The entries of the packaged engine that the page imports. */
const ENTRIES = ['engine.js', 'datasets.js', 'zoo.js'];

/** Copies the files of the packaged engine that the page needs. */
export function copyEngine(build: string, dir: string): void {
  const known = new Set(readdirSync(build).filter((name) => name.endsWith('.js')));
  const needed = new Set<string>();
  const add = (name: string): void => {
    if (needed.has(name) || !known.has(name)) return;
    needed.add(name);
    const text = readFileSync(join(build, name), 'utf8');
    for (const [, other] of text.matchAll(/["']\.\/([\w.-]+\.js)["']/g)) add(other);
  };
  ENTRIES.forEach(add);
  mkdirSync(dir, { recursive: true });
  for (const name of needed) copyFileSync(join(build, name), join(dir, name));
}

/** Writes index.html, classify.js and model.json. */
export function writePage(dir: string, { model, size, fit, classes }: Trained): void {
  writeFileSync(join(dir, 'index.html'), HTML);
  writeFileSync(join(dir, 'classify.js'), SCRIPT);
  writeFileSync(join(dir, 'model.json'), `${JSON.stringify({ model, size, fit, classes }, null, 2)}\n`);
}

const HTML = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width" />
    <title>Image classifier</title>
    <script type="importmap">
      {
        "imports": {
          "cyclegrad": "./cyclegrad/engine.js",
          "cyclegrad/datasets": "./cyclegrad/datasets.js",
          "cyclegrad/zoo": "./cyclegrad/zoo.js"
        }
      }
    </script>
    <style>
      body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
      img { display: block; max-width: 100%; max-height: 20rem; margin: 1rem 0; }
      li { display: grid; grid-template-columns: 9rem 1fr 4rem; gap: 0.5rem; align-items: center; }
      ol { list-style: none; padding: 0; }
      meter { width: 100%; }
      .over { outline: 3px dashed; outline-offset: 1rem; }
    </style>
  </head>
  <body>
    <h1>Image classifier</h1>
    <label>Image <input id="file" type="file" accept="image/*" disabled /></label>
    <p id="status" role="status">Loading the model…</p>
    <img id="image" alt="" hidden />
    <ol id="classes"></ol>
    <script type="module">
      import { loadClassifier } from './classify.js';

      const [file, status, image, list] = ['file', 'status', 'image', 'classes'].map((id) => document.getElementById(id));
      try {
        const classify = await loadClassifier('.');
        status.textContent = 'Choose an image, or drop one here.';
        file.disabled = false;
        const show = async (chosen) => {
          if (chosen === undefined) return;
          URL.revokeObjectURL(image.src);
          image.src = URL.createObjectURL(chosen);
          image.hidden = false;
          list.replaceChildren();
          try {
            const results = await classify(chosen);
            status.textContent = results[0].name;
            list.replaceChildren(
              ...results.slice(0, 5).map(({ name, probability }) => {
                const item = document.createElement('li');
                const bar = Object.assign(document.createElement('meter'), { value: probability });
                item.append(name, bar, \`\${(100 * probability).toFixed(1)}%\`);
                return item;
              }),
            );
          } catch (error) {
            status.textContent = error.message;
          }
        };
        file.addEventListener('change', () => show(file.files[0]));
        const mark = (over) => document.body.classList.toggle('over', over);
        document.addEventListener('dragover', (event) => {
          event.preventDefault();
          mark(true);
        });
        document.addEventListener('dragleave', () => mark(false));
        document.addEventListener('drop', (event) => {
          event.preventDefault();
          mark(false);
          show(event.dataTransfer.files[0]);
        });
      } catch (error) {
        status.textContent = error.message;
      }
    </script>
  </body>
</html>
`;

const SCRIPT = `import { loadTensors, predict, wasm } from 'cyclegrad';
import { readImage } from 'cyclegrad/datasets';
import { classifier } from 'cyclegrad/zoo';

/**
 * Loads the model in the folder at \`url\`. Returns a function that classifies a File, a Blob or the bytes of an image: an array of
 * { name, probability }, the most likely class first.
 */
export async function loadClassifier(url) {
  const load = async (name) => {
    const response = await fetch(\`\${url}/\${name}\`);
    if (!response.ok) throw new Error(\`\${name}: \${response.status} \${response.statusText}\`);
    return response;
  };
  const { model, size, fit, classes } = await (await load('model.json')).json();
  const state = await loadTensors(await (await load('model.safetensors')).arrayBuffer());
  // The statistics of the images are in the file of the weights, in place of these.
  const layer = classifier(model, { classes: classes.length, size, mean: [0, 0, 0], std: [1, 1, 1] });
  const backend = await wasm();
  return async (image) => {
    const data = await readImage(image, { height: size, width: size, fit });
    const { probabilities } = await predict({ model: layer, state, backend, data });
    return classes
      .map((name, label) => ({ name, probability: probabilities.data[label] }))
      .sort((a, b) => b.probability - a.probability);
  };
}
`;
