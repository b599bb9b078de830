"""Pictures of slices, boxes and features: drawn as arrays, written as PNG."""
