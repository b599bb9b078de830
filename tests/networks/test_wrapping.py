from __future__ import annotations

import torch
from torch import nn

from scripts.networks.wrapping import freeze, unwrap


def test_a_frozen_network_passes_gradients_on_but_takes_none():
    network = freeze(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)))
    x = torch.ones(1, 2, requires_grad=True)
    network(x).sum().backward()
    torch.testing.assert_close(x.grad, network[0].weight.sum(0, keepdim=True))
    assert network[0].weight.grad is None
    assert not network[1].training


def test_unwrap_takes_off_ddp_only(tmp_path):
    network = nn.Linear(2, 2)
    assert unwrap(network) is network
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        assert unwrap(nn.parallel.DistributedDataParallel(network)) is network
    finally:
        torch.distributed.destroy_process_group()
