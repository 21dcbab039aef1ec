#!/usr/bin/env bash
# Installs the rivals of run.py and train.py into new Python environments: benchmarks/peers/setup.sh DIR [RLTOOLS]
#
# Needs python3 (3.11 or later) with its headers, C and C++ compilers and PyPI; about 7 GB and five minutes. DIR then holds
#   DIR            a Python environment with all rivals but PufferLib
#   DIR/puffer     one for PufferLib's trainer, whose NumPy and Gymnasium are older
#   DIR/torch      PyTorch, shared by both
#   DIR/pufferlib  the source of PufferLib, with its trainer's C++ and its CartPole compiled in place
#   DIR/bin/puffer_cartpole, puffer_cartpole_native: its C CartPole in our timing loop
#   DIR/bin/rltools_pendulum: RLtools' PPO example, if RLTOOLS is the folder of a checkout of github.com/rl-tools/rl-tools
set -euo pipefail

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  echo "usage: benchmarks/peers/setup.sh DIR [RLTOOLS]   (a folder for the Python environment, made if missing; a checkout of rl-tools)" >&2
  exit 2
fi
example=${2:-}/src/rl/environments/pendulum/ppo/cpu/training.cpp
if [ $# -eq 2 ] && [ ! -f "$example" ]; then
  echo "setup.sh: $2 is no checkout of rl-tools: it has no ${example#"$2"/}" >&2
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

# Its CMakeLists.txt's own flags for this benchmark; without packages of its choice it links no BLAS.
if [ $# -eq 2 ]; then
  "${CXX:-c++}" -std=c++17 -Ofast -march=native -DNDEBUG -DBENCHMARK -DRL_TOOLS_DISABLE_TENSORBOARD -I "$2/include" "$example" \
    -o "$dir/bin/rltools_pendulum"
  git -C "$2" log -1 --format=%h > "$dir/bin/rltools_pendulum.txt" 2> /dev/null || echo "a copy" > "$dir/bin/rltools_pendulum.txt"
fi

puffer=$dir/puffer/bin/python
[ -x "$puffer" ] || python3 -m venv "$dir/puffer"
python_path() { "$1" -c "import sysconfig; print(sysconfig.get_path('$2'))"; }

# One PyTorch for both environments: a .pth file in each names its folder.
[ -d "$dir/torch/torch" ] || "${pip[@]}" install --target "$dir/torch" --requirement "$here/requirements-torch.txt"
for python in "$dir/bin/python" "$puffer"; do
  echo "$dir/torch" > "$(python_path "$python" purelib)/rivals_torch.pth"
done

"${pip[@]}" install --requirement "$here/requirements.txt"
"${pip[@]}" install --no-deps --requirement "$here/requirements-no-deps.txt"
"$puffer" -m pip --disable-pip-version-check --quiet install --requirement "$here/requirements-puffer.txt"

# library OUTPUT COMPILER ARGUMENT...: an extension module of PufferLib's, with the flags of its own setup.py.
library() {
  (cd "$dir/pufferlib" && "$2" "${@:3}" -fPIC -shared -I "$(python_path "$puffer" include)" -o "pufferlib/$1.so")
}
if [ ! -f "$dir/pufferlib/pufferlib/_C.so" ]; then
  raylib=raylib-5.5_linux_amd64 # in the source package; the CartPole can draw itself
  library ocean/cartpole/binding "${CC:-cc}" -O2 -flto -w -I "$raylib/include" \
    -I "$("$puffer" -c 'import numpy; print(numpy.get_include())')" pufferlib/ocean/cartpole/binding.c \
    "$raylib/lib/libraylib.a" -lm -lpthread -ldl
  library _C "${CXX:-c++}" -O3 -std=c++17 -w -I "$dir/torch/torch/include" \
    -I "$dir/torch/torch/include/torch/csrc/api/include" pufferlib/extensions/pufferlib.cpp \
    -L "$dir/torch/torch/lib" -ltorch -ltorch_cpu -lc10
fi
echo "rivals are ready: python3 $here/run.py --venv $dir; python3 $here/train.py --venv $dir"
