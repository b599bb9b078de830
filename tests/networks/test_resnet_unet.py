from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scripts.networks.resnet_unet import BasicBlock, ResNetUNet


def tiny_network(in_channels: int = 2, out_channels: int = 3) -> ResNetUNet:
    torch.manual_seed(0)
    return ResNetUNet(in_channels, out_channels, encoder_widths=[4, 4, 8, 8], decoder_widths=[8, 4, 4, 4, 4]).eval()


def test_encoder_has_the_parameters_of_resnet_34() -> None:
    network = ResNetUNet(3, 1)
    encoder = sum(p.numel() for part in (network.stem, network.stages) for p in part.parameters())
    assert encoder == 21_797_672 - (512 * 1000 + 1000)  # torchvision's ResNet-34 without its classifier
    assert (
        sum(p.numel() for p in network.parameters()) == 24_436_369 - 128
    )  # segmentation_models' U-Net with a 1x1 head


@pytest.mark.parametrize("size", [(64, 64), (70, 100), (1, 33), (240, 240)])
def test_any_size_keeps_its_shape(size: tuple[int, int]) -> None:
    assert tiny_network()(torch.randn(1, 2, *size)).shape == (1, 3, *size)


def test_padding_repeats_the_edge() -> None:
    network, x = tiny_network(), torch.randn(1, 2, 60, 50)
    rows, columns = torch.arange(64).clamp(max=59), torch.arange(64).clamp(max=49)
    torch.testing.assert_close(network(x), network(x[:, :, rows][..., columns])[..., :60, :50])


def test_basic_block_by_hand() -> None:
    block = BasicBlock(1, 1).eval()
    for conv, factor in ((block.conv_0, 2.0), (block.conv_1, -3.0)):
        torch.nn.init.zeros_(conv.weight)
        conv.weight.data[0, 0, 1, 1] = factor
    x = torch.tensor([[[[1.0, -1.0]]]])  # 1 - 3 * relu(2) < 0; -1 - 3 * relu(-2) < 0: relu leaves 0; then 0.5 * x
    assert block(x).tolist() == [[[[0.0, 0.0]]]]
    block.conv_1.weight.data[0, 0, 1, 1] = 0.5
    torch.testing.assert_close(block(x), torch.tensor([[[[2.0, 0.0]]]]), rtol=0, atol=1e-4)


def test_every_parameter_gets_a_gradient() -> None:
    network = tiny_network().train()
    network(torch.randn(2, 2, 64, 64)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_encode_is_the_spatial_mean_of_the_deepest_stage() -> None:
    network, x = tiny_network(), torch.randn(2, 2, 64, 96)
    seen = []
    network.stages[3].register_forward_hook(lambda module, inputs, output: seen.append(output))
    features = network.encode(x)
    assert seen[0].shape == (2, 8, 2, 3)
    torch.testing.assert_close(features, seen[0].flatten(2).sum(-1) / 6)


@pytest.mark.parametrize("size", [(64, 64), (70, 100)])
def test_script_agrees_with_eager(size: tuple[int, int]) -> None:
    network, x = tiny_network(), torch.randn(2, 2, *size)
    scripted = torch.jit.script(network)
    torch.testing.assert_close(scripted(x), network(x), rtol=0, atol=0)
    torch.testing.assert_close(scripted.encode(x), network.encode(x), rtol=0, atol=0)


def test_script_survives_saving(tmp_path: Path) -> None:
    network, x = tiny_network(), torch.randn(1, 2, 50, 64)
    torch.jit.script(network).save(str(tmp_path / "network.ts"))
    torch.testing.assert_close(torch.jit.load(str(tmp_path / "network.ts"))(x), network(x), rtol=0, atol=0)


@pytest.mark.slow
def test_onnx_agrees_for_other_sizes_and_batches(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (the 'export' extra)")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (the 'export' extra)")
    network, path = tiny_network(), tmp_path / "network.onnx"
    side = torch.export.Dim("side", min=33, max=512)
    dynamic = ({0: torch.export.Dim("batch"), 2: side, 3: torch.export.Dim("other", min=33, max=512)},)
    torch.onnx.export(network, (torch.randn(2, 2, 70, 100),), path, dynamo=True, dynamic_shapes=dynamic, verbose=False)
    session = runtime.InferenceSession(path)
    for shape in ((1, 2, 64, 64), (3, 2, 50, 130)):
        x = torch.randn(shape)
        (logits,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        expected = network(x).detach()
        torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=0, atol=1e-4 * expected.abs().max().item())


def test_wrong_number_of_widths_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[8, 8\].*4 encoder widths and 5 decoder widths"):
        ResNetUNet(1, 1, encoder_widths=[8, 8])
