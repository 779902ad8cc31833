// The numbers that the engine (AssemblyScript) and the SDK (TypeScript) must agree on. Plain integer
// constants, so that both compilers can read this one file.

// ---- memory below the heap -----------------------------------------------------------------

// Control block: one word per cache line where threads contend for it.
export const CONTROL = 1024;
export const EPOCH = 0; // counts jobs; threads sleep on it between jobs
export const JOB_PROGRAM = 4; // address of the first instruction of the job
export const JOB_COUNT = 8; // instructions in the job
export const JOB_THREADS = 12; // threads that walk it
export const QUIT = 16; // threads leave when this is set and the epoch moves
export const CANCEL = 64; // set by anyone: the walk stops at the next barrier
export const STOPPED = 68; // what the last thread at a barrier made of CANCEL
export const TILE = 128; // next tile of the instruction
export const ARRIVED = 192; // threads at the barrier
export const PHASE = 256; // counts barriers; threads spin, then sleep, on it
// Padded taps of a convolution and rows past the end read zeros from here.
export const ZEROS = 65536;
export const ZEROS_BYTES = 65536;
export const HEAP = 131072;

// ---- scratch of one thread -----------------------------------------------------------------

export const SCRATCH_TABLE = 0; // pointers and coordinates of a row block
export const SCRATCH_B = 1024; // one widened panel, or the scores of eight queries
export const SCRATCH_B_BYTES = 65536;
export const SCRATCH_A = 66560; // packed rows, or the queries of a tile
export const SCRATCH_A_BYTES = 524288;
export const SCRATCH_C = 590848; // accumulators
export const SCRATCH_C_BYTES = 524288;
export const SCRATCH_BYTES = 1115136;

// ---- an instruction: INSTRUCTION bytes; the names below are byte offsets in it --------------

export const INSTRUCTION = 256;
export const OP = 0;
export const TILES = 4; // tiles of this instruction
export const FIRST = 8; // number of its first tile, where a long op is cut into several

export const OP_GEMM = 1;
export const OP_NORM_PARTIAL = 2;
export const OP_NORM_FINISH = 3;
export const OP_NORM_APPLY = 4;
export const OP_LAYER_NORM = 5;
export const OP_ATTENTION_PACK = 6;
export const OP_ATTENTION = 7;
export const OP_ACTIVATION = 8;
export const OP_ADD = 9;
export const OP_SCALE = 10;
export const OP_CONCAT = 11;
export const OP_GEGLU = 12;
export const OP_UPSAMPLE = 13;
export const OP_EMBED = 14;
export const OP_SINUSOID = 15;
export const OP_SELECT_ROW = 16;
export const OP_WINOGRAD_INPUT = 17;
export const OP_WINOGRAD_PRODUCT = 18;

// Activations. Stored types of weights.
export const ACT_NONE = 0;
export const ACT_SILU = 1;
export const ACT_GELU = 2;
export const ACT_QUICK_GELU = 3;
export const ACT_RELU = 4;
export const ACT_TANH = 5;
export const DTYPE_F32 = 0;
export const DTYPE_F16 = 1;
export const DTYPE_I8 = 2;
/** Log of the rows that share an int8 scale, and bytes of the eight scales of a panel. */
export const SCALE_ROWS = 6;
export const SCALE_BYTES = 16;

// Where most ops keep the same things.
export const OUT = 12;
export const X = 16;
export const SKIP = 20; // second source on channels, or 0
export const C0 = 24; // channels of X
export const C1 = 28; // channels of SKIP
export const ROWS = 32; // rows of the output (pixels or tokens, all batches)
export const BATCH_ROWS = 36; // rows of one batch entry
export const TILE_ROWS = 40; // rows per tile
export const ACT = 44;
export const BIAS = 48; // per-column vector, or 0
export const WEIGHT = 52;
export const DTYPE = 56;
export const SCALES = 60;

// gemm
export const CHANNEL_BIAS = 64; // [batch, columns], or 0
export const RESIDUAL = 68;
export const K = 72; // inner length
export const K_BLOCK = 76;
export const COLUMNS = 80; // columns of the output
export const PANELS = 84; // panels of the output
export const TILE_PANELS = 88;
export const ROW_TILES = 92; // tiles along the rows; they vary fastest
export const GATED = 96; // 1: GEGLU
export const CONV = 100; // 1: the geometry below holds
export const KERNEL_H = 104;
export const KERNEL_W = 108;
export const STRIDE = 112;
export const PAD_TOP = 116;
export const PAD_LEFT = 120;
export const HEIGHT = 124; // of the picture that the kernel sees
export const WIDTH = 128;
export const STORED_HEIGHT = 132; // of the picture in memory: smaller where it is upsampled
export const STORED_WIDTH = 136;
export const OUT_HEIGHT = 140;
export const OUT_WIDTH = 144;
export const WRAP_X = 148;
export const WRAP_Y = 152;


// winograd, beside what it shares with gemm
export const TRANSFORMED = 156; // input tiles: [36, channels/64, ROW_BLOCKS, 64, MR]
export const ROW_BLOCKS = 160;
export const TASK_BLOCKS = 164; // row blocks of one task
export const TILES_X = 168; // 4×4 tiles of one picture
export const TILES_Y = 172;
export const FIRST_TILE = 176; // of the first picture
export const TILE_COUNT = 180;
export const FIRST_LINE = 184; // line of the picture with which X begins

// norms
export const GROUPS = 64;
export const EPS = 68; // f32
export const CHUNKS = 72; // pixel chunks per batch entry
export const PARTIALS = 76; // [batch, chunks, 2, channels]
export const STATS = 80; // [batch, 2, channels]

// attention
export const KEYS = 64; // address of k
export const VALUES = 68;
export const HEADS = 72;
export const HEAD_DIM = 76;
export const QUERY_COUNT = 80;
export const KEY_COUNT = 84;
export const CAUSAL = 88;
export const QUERY_SCALE = 92; // f32: log2(e) / sqrt(head dim)
export const PACKED_KEYS = 96;
export const PACKED_VALUES = 100;
export const KEY_CHUNK = 104;
export const TILE_QUERIES = 108; // multiple of 8
export const CHUNK_TILES = 112; // tiles per head
export const KEY_LENGTHS = 116; // f32 [head, chunk]: length of the longest key

// pointwise and tables
export const Y = 64; // second operand
export const SPREAD = 68; // add: 1 where Y is [batch, channels]
export const FACTOR = 72; // f32
export const POSITIONS = 64;
export const POSITIONS_DTYPE = 68;
export const PERIOD = 72; // embed: tokens per batch entry
export const FREQUENCIES = 64;
export const FLIP = 68;
