"""Known public layouts: each function reads a folder as it was downloaded and returns a `Dataset`.

What is called the same in several means the same: `source` is the folder, `output` that of dataset.json and of label
maps that are made, by default the source. `labels` are names, background first, and `label_values` pairs of a value in
the files and a label, such as 255:1,128:2; by default both are found in the files. `modality` names the channels, by
default those of the first image. `threshold_masks` reads lossy masks, see `contents.read_values`.
"""
