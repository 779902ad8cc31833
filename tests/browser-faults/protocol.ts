/** What a page of these tests is asked to import. */
export interface ImportRequest {
  readonly url: string;
  /** Of the model's record. */
  readonly key: string;
  readonly shardBytes: number;
}

export interface ImportReport {
  /** SHA-256 of each packed tensor that reached the engine's door. */
  readonly hashes: Record<string, string>;
  /** Names that were complete on the device before this run. */
  readonly stored: string[];
  readonly notices: string[];
  readonly milliseconds: number;
}

/** A picture drawn with the real package. */
export interface DrawReport {
  /** RGB bytes as base64. */
  readonly rgb: string;
  readonly notices: readonly string[];
  readonly milliseconds: number;
  /** Phases of progress that were reported, in order. */
  readonly phases: string[];
}

/** What the page offers to the tests. */
export interface FaultPage {
  importModel(request: ImportRequest): Promise<ImportReport>;
  draw(url: string): Promise<DrawReport>;
  /** Set once a running import has looked at what is stored. */
  stored?: string[];
}
