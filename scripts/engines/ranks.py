"""One process per device under `torchrun`: joining and leaving its process group, and networks that train in it."""

from __future__ import annotations

import logging
import os

import torch
from torch import distributed, nn


def join_ranks() -> torch.device:
    """Joins the process group that `torchrun` announces, and returns the device of this process.

    With CUDA that is GPU number LOCAL_RANK under NCCL, without it the CPU under gloo. Ranks other than 0 log warnings
    only.

    Raises:
        RuntimeError: not started by `torchrun`, or more processes than GPUs on this machine.
    """
    if "LOCAL_RANK" not in os.environ:
        raise RuntimeError(
            "LOCAL_RANK is not set, expected one process per device. Start this with "
            "`torchrun --nproc_per_node <devices> -m monai.bundle run ...`, or leave out configs/multi_gpu_train.json."
        )
    device = torch.device("cpu")
    if torch.cuda.is_available():
        local_rank, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local_rank >= gpus:
            raise RuntimeError(
                f"Process {local_rank} has no GPU of its own: this machine shows {gpus}. "
                f"Pass --nproc_per_node {gpus} or less."
            )
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group(backend="nccl" if device.type == "cuda" else "gloo")
    if current_rank():
        logging.disable(logging.INFO)
    return device


def leave_ranks() -> None:
    """Leaves the process group."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def current_rank() -> int:
    """Number of this process in its group; 0 where there is no group."""
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0


def gather_processes() -> list[int]:
    """The process of each rank, once all ranks ask."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [os.getpid()]
    processes: list[int] = [0] * distributed.get_world_size()
    distributed.all_gather_object(processes, os.getpid())
    return processes


def distribute(network: nn.Module, device: torch.device) -> nn.Module:
    """The network to train on its device, channels last; where there are ranks, with gradients averaged over them.

    On CUDA batch norm then takes its statistics over all ranks. PyTorch has no such layer for CPUs: there each rank
    normalises by its own batch, and rank 0's running statistics are those that count.

    Args:
        network: every parameter of which is used in each forward pass.
        device: of this process, see `join_ranks`.
    """
    grouped = distributed.is_available() and distributed.is_initialized()
    if grouped and device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if not grouped:
        return network
    return nn.parallel.DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)
