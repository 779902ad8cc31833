export { CachedModel, type Item, type ItemsOptions } from './cached-model.ts';
export { ModelCache } from './model-cache.ts';
export { ModelList, type StoredModel, type Usage } from './model-list.ts';
export { modelStore, type StoreOptions } from './store.ts';
export { sha256 } from './hash.ts';
