export { CachedModel, type Item, type ItemsOptions } from './cached-model.ts';
export { ModelCache, type StoredModel, type Usage } from './model-cache.ts';
export { modelStore, type StoreOptions } from './store.ts';
export { sha256 } from './hash.ts';
