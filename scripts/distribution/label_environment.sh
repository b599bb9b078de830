#!/usr/bin/env bash
# Builds the environment of a MONAI Label server that can serve this bundle, without CUDA builds.
#
#   label_environment.sh FOLDER
#
# PYTHON names the interpreter (default python3). A folder that holds the same environment already stays as it is.
set -euo pipefail
environment=${1:?folder of the environment}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
requirements=$root/scripts/distribution/label_requirements.txt
stamp=$environment/.complete
wanted=$(cat "${BASH_SOURCE[0]}" "$requirements" "$root/constraints.txt" "$root/configs/metadata.json" | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then exit 0; fi

if [ -e "$environment" ] && [ ! -f "$environment/pyvenv.cfg" ]; then
  echo "error: $environment is no virtual environment, expected one or a new folder. Name another." >&2
  exit 1
fi
echo "== Installing MONAI Label into $environment (two to five minutes)"
rm -rf "$environment"
"${PYTHON:-python3}" -m venv "$environment"
install() { "$environment/bin/pip" install --quiet --disable-pip-version-check "$@"; }
# Torch comes first and by its exact pin: any other way pip may take a multi-gigabyte CUDA build.
install "$(grep '^torch==' "$root/constraints.txt")"
# What the bundle says that it needs, and nothing else, so that a package missing from its metadata is noticed here.
bundle=$("$environment/bin/python" - "$root/configs/metadata.json" <<'PY'
import json, sys
metadata = json.load(open(sys.argv[1], encoding="utf-8"))
needed = {"monai": metadata["monai_version"], "numpy": metadata["numpy_version"], **metadata["required_packages_version"]}
print(*(f"{name}=={version}" for name, version in needed.items()))
PY
)
# shellcheck disable=SC2086 # one word per package
install -c "$root/constraints.txt" $bundle
install -c <(grep -E '^(torch|numpy|monai)==' "$root/constraints.txt") -r "$requirements"
# Its own list of requirements asks for torchvision, SAM 2 and mlflow, whose builds fit no CPU torch or are not used here.
install --no-deps monailabel==0.8.5 pydicom-seg==0.4.1
if ! "$environment/bin/python" -W ignore -c 'import torchvision' 2>/dev/null; then
  # Two of its modules import these names from torchvision, for pictures that the app for bundles never draws.
  packages=$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  mkdir "$packages/torchvision"
  touch "$packages/torchvision/__init__.py"
  cat > "$packages/torchvision/utils.py" <<'PY'
"""A stand-in: this environment has no torchvision, and what MONAI Label imports of it is never called."""


def make_grid(*_, **__):
    raise RuntimeError("torchvision is not installed in this environment")


save_image = make_grid
PY
fi
echo "$wanted" > "$stamp"
