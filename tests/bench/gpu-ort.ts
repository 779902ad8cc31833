import { createRequire } from 'node:module';
import { join } from 'node:path';

/** As far as it is used here; the package is not installed with the project. */
interface Ort {
  readonly InferenceSession: {
    create(path: string, options: object): Promise<Session>;
  };
  readonly Tensor: new (type: string, data: unknown, shape: readonly number[]) => object;
}
interface Session {
  readonly inputMetadata: readonly {
    readonly name: string;
    readonly type: string;
    readonly shape: readonly (number | string)[];
  }[];
  run(feeds: Record<string, object>): Promise<unknown>;
  release(): Promise<void>;
}

/**
 * Milliseconds of a run of ONNX Runtime's WebGPU engine on a model (tests/bench/cpu_models.py exports
 * some), or of its CPU engine; random inputs.
 * @param folder where `onnxruntime-node` was installed: `npm install --prefix FOLDER onnxruntime-node`
 * @param time measures something that is run again and again
 */
export async function timeOrt(
  folder: string,
  model: string,
  engine: 'webgpu' | 'cpu',
  time: (run: () => Promise<unknown>) => Promise<number>,
): Promise<number> {
  const ort = createRequire(join(folder, 'node_modules', 'here'))('onnxruntime-node') as Ort;
  const session = await ort.InferenceSession.create(model, { executionProviders: [engine] });
  const feeds = Object.fromEntries(
    session.inputMetadata.map(({ name, type, shape }) => {
      const sizes = shape.map((size) => (typeof size === 'number' ? size : 1));
      const count = sizes.reduce((product, size) => product * size, 1);
      const data =
        type === 'int64'
          ? new BigInt64Array(count).fill(500n)
          : new Float32Array(count).map(() => Math.random() - 0.5);
      return [name, new ort.Tensor(type, data, sizes)];
    }),
  );
  const ms = await time(() => session.run(feeds));
  await session.release();
  return ms;
}
