/**
 * What was dropped, as `StableDiffusion.load` takes it: a file, or a folder as paths and files.
 * @returns {Promise<{ source: File | Map<string, File>, name: string } | undefined>}
 */
export async function dropped({ items, files }) {
  // Both must be asked for before the first wait: the event's data is gone after it.
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const [file] = files;
  const folder = entries.find((entry) => entry.isDirectory);
  if (!folder) return file && { source: file, name: file.name };
  const source = new Map();
  await walk(folder, `${folder.name}/`, source);
  return { source, name: folder.name };
}

async function walk(folder, path, found) {
  const reader = folder.createReader();
  for (;;) {
    // Chromium gives a hundred at a time.
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (some.length === 0) return;
    for (const entry of some) {
      if (entry.isDirectory) await walk(entry, `${path}${entry.name}/`, found);
      else found.set(path + entry.name, await new Promise((done, fail) => entry.file(done, fail)));
    }
  }
}
