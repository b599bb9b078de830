"""A U-Net of MONAI on slices of any labelled volumes, some of them replaced by a synthetic set of this bundle.

python docs/examples/inject_synthetic.py DATASET_DIR SYNTHETIC_DIR [STEPS]; both folders have a dataset.json.
"""

import sys
from pathlib import Path

import torch
from monai.data import CacheDataset, DataLoader
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    NormalizeIntensityd,
    Orientationd,
    RandFlipd,
    RandSpatialCropd,
    Resized,
    ResizeWithPadOrCropd,
    SqueezeDimd,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the bundle's folder
from scripts.data.contract import read_dataset
from scripts.transforms.injection import RandInjectSyntheticd

data, synthetic, steps = read_dataset(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 100
keys, side = ("image", "label"), 64  # pixels of the network's square
items = [{key: item[key] for key in keys} for item in data.splits["training"] if item["label"]]
held_out = {item["patient"] for split in ("validation", "test") for item in data.splits[split]}
transforms = Compose(
    [
        LoadImaged(keys),
        EnsureChannelFirstd(keys),
        Orientationd(keys, axcodes="LPS", labels=None),
        RandSpatialCropd(keys, roi_size=(-1, -1, 1), random_size=False),  # one slice of the volume
        SqueezeDimd(keys, dim=-1),  # (C, X, Y)
        RandInjectSyntheticd(keys, synthetic, prob=0.3, held_out=held_out),
        Resized(keys, side, size_mode="longest", mode=("area", "nearest")),  # real and synthetic sizes may differ
        ResizeWithPadOrCropd(keys, (side, side)),
        NormalizeIntensityd("image", channel_wise=True),
        RandFlipd(keys, prob=0.5, spatial_axis=0),
    ]
)
loader = DataLoader(CacheDataset(items, transforms, progress=False), batch_size=4, shuffle=True)
network = UNet(2, data.channel_count, len(data.labels), channels=(16, 32, 64), strides=(2, 2), num_res_units=1)
optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
loss_function = DiceCELoss(to_onehot_y=True, softmax=True)
step = 0
while step < steps:
    for batch in loader:
        loss = loss_function(network(batch["image"]), batch["label"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        print(f"step {step}: loss {loss.item():.3f}")
