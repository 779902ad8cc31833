// The SDK's worker from this folder: its Content-Security-Policy lets it fetch models from anywhere.
import '/dist/worker.js';
