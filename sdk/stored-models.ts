import { ModelList, modelStore, type StoredModel, type Usage } from './cache/index.ts';

/** The models that were imported on this device. */
export interface StoredModels {
  /** All of them, with their sizes and when they were last used. */
  list(): Promise<StoredModel[]>;
  /**
   * Deletes a model by its `key` or its `name` (the URL it came from) from {@link list}.
   * @returns false where there was none
   */
  delete(model: string): Promise<boolean>;
  /** Deletes every model. */
  clear(): Promise<void>;
  /** Bytes in use. */
  usage(): Promise<Usage>;
  /**
   * Asks the browser to keep this site's data when space runs short; from a click, since some
   * browsers ask the person. @returns whether it will
   */
  persist(): Promise<boolean>;
}

// Each call opens its own: nothing here touches a browser global before it is used.
const open = (): ModelList => new ModelList(modelStore());

export const storedModels: StoredModels = {
  list: () => open().list(),
  async delete(model) {
    const cache = open();
    let found = false;
    for (const { key, name } of await cache.list())
      if (key === model || name === model) found = (await cache.delete(key)) || found;
    return found;
  },
  clear: () => open().clear(),
  usage: () => open().usage(),
  persist: () => open().persist(),
};
