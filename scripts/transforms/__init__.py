"""Dictionary transforms that MONAI lacks."""
