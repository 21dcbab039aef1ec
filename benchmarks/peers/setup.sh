#!/usr/bin/env bash
# Installs the rivals of run.py into a new Python environment: benchmarks/peers/setup.sh DIR
#
# Needs python3 (3.11 or later), a C compiler and PyPI; about 1.5 GB and a minute or two. DIR then holds the Python
# packages, the source of PufferLib (DIR/pufferlib) and DIR/bin/puffer_cartpole, its C CartPole in our timing loop.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: benchmarks/peers/setup.sh DIR   (a folder for the Python environment; made if missing)" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
[ -x "$dir/bin/python" ] || python3 -m venv "$dir"
dir=$(cd "$dir" && pwd)
pip=("$dir/bin/python" -m pip --disable-pip-version-check --quiet)

# PufferLib's source. pip has no "download and unpack only": it always asks the package's build for metadata. Without
# setuptools that step fails before it runs any code of the package, and --no-clean leaves the unpacked, hash-checked tree.
if [ ! -f "$dir/pufferlib/pufferlib/ocean/cartpole/cartpole.h" ]; then
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  "${pip[@]}" uninstall --yes setuptools wheel > "$scratch/log" 2>&1 || true
  TMPDIR=$scratch "${pip[@]}" download --no-clean --no-deps --no-build-isolation --no-binary :all: \
    --require-hashes --requirement "$here/requirements-source.txt" --dest "$scratch" >> "$scratch/log" 2>&1 || true
  header=$(find "$scratch" -path '*/pufferlib/ocean/cartpole/cartpole.h' | head -n 1)
  if [ -z "$header" ]; then
    tail -n 20 "$scratch/log" >&2
    echo "setup.sh: pip did not unpack the source package of PufferLib; its last lines are above" >&2
    exit 1
  fi
  rm -rf "$dir/pufferlib"
  mv "${header%/pufferlib/ocean/cartpole/cartpole.h}" "$dir/pufferlib"
fi

# build NAME FLAG...: PufferLib's own setup.py compiles with -O2 -flto; run.py keeps the faster of the two.
version=$(sed -n 's/^Version: //p' "$dir/pufferlib/PKG-INFO" | head -n 1)
build() {
  "${CC:-cc}" "${@:2}" -DPUFFER_FLAGS="\"${*:2}\"" -DPUFFER_VERSION="\"$version\"" -I "$here/puffer" \
    -I "$dir/pufferlib/pufferlib/ocean/cartpole" "$here/puffer/cartpole.c" -lm -o "$dir/bin/$1"
}
build puffer_cartpole -O2 -flto
build puffer_cartpole_native -O3 -march=native -flto

"${pip[@]}" install --requirement "$here/requirements.txt"
"${pip[@]}" install --no-deps --requirement "$here/requirements-no-deps.txt"
echo "rivals are ready: python3 $here/run.py --venv $dir"
