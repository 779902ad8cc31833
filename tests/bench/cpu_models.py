"""cpu_models.py FOLDER [--native] [NAME …]: the models that cpu.mjs and gpu.ts time, for the SDK and for onnxruntime.

Writes FOLDER/{unet-half,vae-dec,unet-small}/ (or those named; the last is for software GPUs) with config.json, the weights and one case of inputs and outputs as
safetensors, and onnx/ (the graph, its weights in files of at most 800 MB, files.json). `--native`
times native onnxruntime on them instead. Needs torch, diffusers, onnx, onnxscript and onnxruntime.
"""
import json
import pathlib
import statistics
import sys
import time

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file

LARGEST_FILE = 800 * 2**20
UNET = dict(
    block_out_channels=(160, 320, 640, 640), sample_size=64, in_channels=4, out_channels=4,
    layers_per_block=2, attention_head_dim=8, cross_attention_dim=768, norm_num_groups=32,
    down_block_types=('CrossAttnDownBlock2D',) * 3 + ('DownBlock2D',),
    up_block_types=('UpBlock2D',) + ('CrossAttnUpBlock2D',) * 3,
)
SMALL = {**UNET, 'block_out_channels': (64, 128, 256, 256), 'sample_size': 16}
VAE = dict(
    in_channels=3, out_channels=3, latent_channels=4, layers_per_block=2, norm_num_groups=32,
    block_out_channels=(128, 256, 512, 512), sample_size=512, scaling_factor=0.18215,
    down_block_types=('DownEncoderBlock2D',) * 4, up_block_types=('UpDecoderBlock2D',) * 4,
)


class Denoise(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sample, timestep, encoder_hidden_states):
        return self.model(sample, timestep, encoder_hidden_states, return_dict=False)[0]


class Decode(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, latent):
        return self.model.decoder(self.model.post_quant_conv(latent))


def build(name):
    """Weights of torch's default initialisation, seed 0; inputs of seed 1."""
    torch.manual_seed(0)
    config = {'unet-half': UNET, 'unet-small': SMALL}.get(name)
    model = (UNet2DConditionModel(**config) if config else AutoencoderKL(**VAE)).eval()
    g = torch.Generator().manual_seed(1)
    if name == 'vae-dec':
        return model, Decode(model).eval(), dict(latent=torch.randn(1, 4, 32, 32, generator=g))
    inputs = dict(
        sample=torch.randn(1, 4, config['sample_size'], config['sample_size'], generator=g),
        timestep=torch.tensor([500], dtype=torch.int64),
        encoder_hidden_states=torch.randn(1, 77, 768, generator=g),
    )
    return model, Denoise(model).eval(), inputs


def save_onnx(module, inputs, folder, opset):
    import onnx
    from onnx.external_data_helper import set_external_data

    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / 'whole.onnx'
    torch.onnx.export(
        module, tuple(inputs.values()), str(whole), input_names=list(inputs), output_names=['output'],
        opset_version=opset, dynamo=True, do_constant_folding=True, external_data=True,
    )
    model = onnx.load(str(whole), load_external_data=True)
    names, file, offset = [], None, LARGEST_FILE
    for tensor in model.graph.initializer:
        raw = tensor.raw_data
        if len(raw) < 1024:
            continue
        if offset + len(raw) > LARGEST_FILE:
            names.append(f'model.data.{len(names)}')
            file, offset = open(folder / names[-1], 'wb'), 0
        file.write(raw)
        set_external_data(tensor, location=names[-1], offset=offset, length=len(raw))
        tensor.ClearField('raw_data')
        offset += len(raw)
    onnx.save(model, str(folder / 'model.onnx'))
    (folder / 'files.json').write_text(json.dumps(names))
    for leftover in folder.glob('whole.onnx*'):
        leftover.unlink()


def time_native(folder, threads=2, runs=5):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(folder / 'onnx/model.onnx'), options)
    feeds = {k: v.numpy() for k, v in load_file(folder / 'inputs.safetensors').items()}
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - began)
    print(f'{folder.name}: native onnxruntime, {threads} threads: {statistics.median(times[1:]) * 1e3:.0f} ms')


def main():
    root = pathlib.Path(sys.argv[1])
    opsets = {'unet-half': 23, 'vae-dec': 18, 'unet-small': 23}
    for name in [arg for arg in sys.argv[2:] if arg in opsets] or opsets:
        opset = opsets[name]
        folder = root / name
        if '--native' in sys.argv:
            time_native(folder)
            continue
        model, module, inputs = build(name)
        model.save_pretrained(folder)
        save_file(inputs, folder / 'inputs.safetensors')
        with torch.inference_mode():
            save_file({'output': module(*inputs.values()).contiguous()}, folder / 'outputs.safetensors')
            save_onnx(module, inputs, folder / 'onnx', opset)


main()
