import { CachedModel, ModelCache, modelStore } from '../cache/index.ts';
import { SDError } from '../errors.ts';
import type { Loras } from '../formats/loras.ts';
import type { GenerateRequest } from '../options.ts';
import { generate } from '../pipeline/generate.ts';
import { Pipeline } from '../pipeline/pipeline.ts';
import type { ModelSource } from '../pipeline/model-source.ts';
import { Residence } from '../pipeline/part.ts';
import { Previewer } from '../pipeline/preview.ts';
import { assetBytes } from './asset-bytes.ts';
import { checkpointModel } from './checkpoint-model.ts';
import { startEngine } from './engines.ts';
import { formatsAt } from './formats.ts';
import { importKey, openCheckpoint } from './open-checkpoint.ts';
import type { Assets, GenerateReply, LoadRequest, LoraRequest, PartName } from './protocol.ts';
import type { CallContext, Model, OpenModel } from './serve.ts';
import { withFiles } from './tensor-file.ts';

/** Opens models with the real engines. */
export const openModel =
  (assets: Assets): OpenModel =>
  async (request, context) => {
    const { backend, notices } = await startEngine(request, assets, context);
    try {
      const { pipeline, setLoras } = await loadPipeline(request, assets, backend, notices, context);
      const size = pipeline.defaultSize;
      const previewer = new Previewer(pipeline);
      return {
        info: {
          backend: backend.name,
          device: backend.description,
          width: size,
          height: size,
          sizeStep: pipeline.sizeStep,
          dtype: request.dtype,
          notices,
        },
        schedule: (wanted) => pipeline.schedule(wanted),
        countTokens: (prompt, syntax) => pipeline.countTokens(prompt, syntax),
        setLoras,
        generate: async (wanted, during) => {
          if (request.memory === 'low' && wanted.preview === 'vae')
            throw new SDError(
              'INVALID_OPTION',
              "preview: 'vae' needs the VAE beside the UNet, and this model was loaded with memory: 'low'. Take 'rgb'.",
            );
          backend.onCompile = (done, total) =>
            during.onProgress({ phase: 'compile', unit: 'programs', done, total });
          const reply = await run(pipeline, previewer, wanted, during);
          return { ...reply, notices: [...reply.notices, ...(backend.takeNotices?.() ?? [])] };
        },
      } satisfies Model;
    } catch (error) {
      await backend.dispose();
      throw error;
    }
  };

async function loadPipeline(
  request: LoadRequest,
  assets: Assets,
  backend: Parameters<typeof Pipeline.load>[1],
  notices: string[],
  { signal, onProgress }: CallContext,
): Promise<Pick<Model, 'setLoras'> & { pipeline: Pipeline }> {
  const formats = formatsAt(assets.formats);
  const { model, dtype, weights, keep = true, embeddings = [], memory } = request;
  const cache = new ModelCache(modelStore(), { onNotice: (notice) => notices.push(notice) });
  const cached =
    keep && cache.available ? new CachedModel(cache, await importKey(request)) : undefined;
  const checkpoint = await openCheckpoint(request, {
    formats,
    merges: assets.merges,
    remember: cached && ((path, load) => cached.text(path, load)),
    signal,
  });
  const has = (part: PartName): boolean => checkpoint.components.has(part);
  const keptFiles = keep ? cache : undefined;
  let loras: Loras | undefined;
  const wear = async (
    requests: readonly LoraRequest[],
    parts: Pipeline['adaptable'],
    during?: AbortSignal,
  ): Promise<void> => {
    if (requests.length === 0 && !loras) return;
    const wanted = await withFiles(requests, 'lora', keptFiles, formats);
    loras ??= new (await formats(during)).Loras(has);
    await loras.wear(wanted, parts, during);
  };
  await wear(request.loras ?? [], new Map(), signal);
  if (memory === 'low' && model.kind === 'url' && !cached)
    notices.push(
      "Nothing of the model is kept on this device, so with memory: 'low' it is fetched again for every picture.",
    );
  const bytes = { done: 0, total: 0 };
  let isLoaded = false;
  const source = checkpointModel(checkpoint, {
    tokenizer: await compile(await assetBytes(assets.wasm['tokenizer.wasm'], signal)),
    formats,
    weights,
    merge: (part, params, plain) => loras?.merge(part, params, plain) ?? plain,
    cached,
    signal,
    onBytes: (count, part, fromCache) => {
      // Parts that come back belong to a run.
      if (isLoaded) return;
      bytes.done += count;
      // What is stored reaches the engine as its hash is found right.
      if (fromCache) onProgress({ phase: 'verify', unit: 'bytes', ...bytes });
      else if (model.kind === 'url')
        onProgress({ phase: 'download', unit: 'bytes', ...bytes, file: part, fromCache });
      else onProgress({ phase: 'load', unit: 'bytes', ...bytes });
    },
  });
  bytes.total = await source.totalBytes();
  let whole: ModelSource = source;
  if (embeddings.length > 0) {
    const files = await withFiles(embeddings, 'textual inversion', keptFiles, formats);
    const { readEmbeddings, withEmbeddings } = await formats(signal);
    whole = withEmbeddings(source, await readEmbeddings(files, signal));
  }
  const residence = new Residence(memory === 'low');
  const pipeline = await Pipeline.load(whole, backend, { dtype, residence, signal });
  isLoaded = true;
  return { pipeline, setLoras: (requests) => wear(requests, pipeline.adaptable) };
}

function compile(bytes: ArrayBuffer): WebAssembly.Module {
  try {
    return new WebAssembly.Module(bytes);
  } catch (cause) {
    throw new SDError(
      'BACKEND_UNAVAILABLE',
      "The tokenizer does not compile. A Content-Security-Policy must allow 'wasm-unsafe-eval' in script-src.",
      { cause },
    );
  }
}

async function run(
  pipeline: Pipeline,
  previewer: Previewer,
  request: GenerateRequest,
  { signal, onProgress, onStep }: CallContext,
): Promise<GenerateReply> {
  const notices: string[] = [];
  let stage: 'encode' | 'denoise' | 'decode' = 'encode';
  let total = 0;
  const report = (done: number) => {
    if (stage === 'encode') onProgress({ phase: stage, unit: 'prompts', done, total });
    else if (stage === 'denoise') onProgress({ phase: stage, unit: 'steps', done, total });
    else onProgress({ phase: stage, unit: 'pictures', done, total });
  };
  const { pictures, seeds, latents, timings } = await generate(pipeline, request, {
    signal,
    onNotice: (notice) => notices.push(notice),
    onStage: (begins, work) => {
      if (stage !== begins) report(total);
      stage = begins;
      total = work;
      report(0);
    },
    onStep: async (event) => {
      report(event.step);
      const { step, steps, timestep } = event;
      const { preview: kind, previewState } = request;
      const preview = await previewer.show(kind, event, signal, previewState);
      const insight = await previewer.showInsight(kind, event, signal);
      onStep({ step, steps, timestep, preview, ...insight });
    },
  });
  report(total);
  return { pictures, seeds, latents, notices: [...new Set(notices)], timings };
}
