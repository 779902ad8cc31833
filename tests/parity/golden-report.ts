/** One line of a golden run: what was compared, its largest error, and what is allowed. */
export type Report = (caseName: string, error: number, tolerance: number) => void;

/** A case that asks for something this SDK does not do; it counts neither way. */
export type Unsupported = (caseName: string, why: string) => void;
