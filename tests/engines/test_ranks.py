from __future__ import annotations

import pytest
import torch
from torch import nn

from scripts.engines.ranks import current_rank, distribute, join_ranks


def test_without_torchrun_there_is_one_rank_and_no_wrapper():
    network = nn.Sequential(nn.Conv2d(3, 4, kernel_size=3), nn.BatchNorm2d(4))
    assert current_rank() == 0
    assert distribute(network, torch.device("cpu")) is network
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_joining_without_torchrun_says_how_to_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(RuntimeError, match="torchrun --nproc_per_node"):
        join_ranks()


def test_more_ranks_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(RuntimeError, match="shows 2"):
        join_ranks()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_rank_on_a_gpu_synchronises_batch_norm(monkeypatch: pytest.MonkeyPatch):
    settings = {"LOCAL_RANK": 0, "RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 29511}
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    device = join_ranks()
    try:
        network = distribute(nn.Sequential(nn.Conv2d(3, 4, kernel_size=3), nn.BatchNorm2d(4)), device)
        network(torch.rand(2, 3, 8, 8, device=device)).sum().backward()
        assert isinstance(network.module[1], nn.SyncBatchNorm)
    finally:
        torch.distributed.destroy_process_group()
