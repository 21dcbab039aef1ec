# shellcheck shell=bash
# A small world for the front door: a checkout in a folder with spaces, an environment and tools that only pretend.
# Sourced by frontdoor_test.sh. Each stub appends its name and arguments to $world/calls.

# shellcheck disable=SC2016  # the stubs expand their variables, not we
make_stub() {  # PATH BODY
  mkdir -p -- "${1%/*}"
  printf '#!/bin/bash\nworld=%q\nprintf "%%s %%s\\n" "${0##*/}" "$*" >>"$world/calls"\n%s\n' "$world" "$2" >"$1"
  chmod 755 "$1"
}

# The environment's Python: runs check_venv.py and pip as the files in $world say.
make_venv() {  # DIRECTORY
  make_stub "$1/bin/python" '
case "$*" in
  *check_venv.py*requirements-cuda*) cat "$world/findings-cuda"; [[ ! -s $world/findings-cuda ]] ;;
  *check_venv.py*) cat "$world/findings"; [[ ! -s $world/findings ]] ;;
  *"-m pip"*)
    if [[ -e $world/pip-fails ]]; then cat "$world/pip-fails" >&2; exit 1; fi
    if [[ $* == *requirements-cuda* ]]; then
      toolkit=${0%/bin/python}/lib/python3.11/site-packages/nvidia/cu13
      mkdir -p "$toolkit/bin" "$toolkit/lib"
      cp "$world/bin/nvcc13" "$toolkit/bin/nvcc"
      : >"$world/findings-cuda"
    elif [[ $* != *--force-reinstall* ]]; then
      : >"$world/findings"
    fi ;;
esac'
  make_stub "$1/bin/cmake" '
build="$2/build/$4"
[[ -e $world/cmake-fails ]] && { echo "CMake Error at CMakeLists.txt:7: no such thing" >&2; exit 1; }
mkdir -p "$build" && touch "$build/build.ninja" "$build/CTestTestfile.cmake"'
  make_stub "$1/bin/ninja" '
if [[ -e $world/ninja-sleeps ]]; then echo $$ >"$world/ninja-pid"; exec sleep 30; fi
if [[ -e $world/ninja-fails ]]; then
  printf "[1/2] Building a.o\nFAILED: a.o\na.cc:1: error: expected everything\nninja: build stopped\n"; exit 1
fi
[[ -e $world/ninja-slow ]] && sleep 0.5
mkdir -p "$2/bin"
printf "[1/2] Building a.o\n[2/2] Linking bin/rollmill\n"
cp "$world/program" "$2/bin/rollmill"; chmod 755 "$2/bin/rollmill"'
  make_stub "$1/bin/ctest" 'echo "100% tests passed, 0 tests failed out of 1"'
  printf '#!%s/bin/python\n' "$1" >"$1/bin/pip"
}

make_world() {  # REPOSITORY
  world=$(mktemp -d)/world
  checkout="$world/a checkout"
  mkdir -p "$checkout/tools" "$checkout/core" "$checkout/cli" "$world/elsewhere" "$world/home" "$world/bin"
  cp "$1/rollmill" "$checkout/"
  cp "$1"/tools/requirements*.txt "$1/tools/check_venv.py" "$1/tools/setup.sh" "$checkout/tools/"
  printf '# a comment\ng++\nlibhdf5-dev\n' >"$checkout/tools/apt-packages.txt"
  printf '{"configurePresets": [{"name": "release"}, {"name": "tsan"}]}\n' >"$checkout/CMakePresets.json"
  touch "$checkout/CMakeLists.txt" "$checkout/core/a.h" "$checkout/cli/main.cc"
  printf '#!/bin/bash\nprintf "program"; printf "|%%s" "$@"; printf "|%%s\\n" "$PWD"\n' >"$world/program"
  : >"$world/calls"
  : >"$world/findings"
  : >"$world/findings-cuda"
  printf 'installed g++\ninstalled libhdf5-dev\n' >"$world/packages"
  make_stub "$world/bin/dpkg-query" 'cat "$world/packages"'
  make_stub "$world/bin/apt-get" 'true'
  make_stub "$world/bin/sudo" '[[ -e $world/sudo-works ]] || exit 1; shift; exec "$@"'
  make_stub "$world/bin/g++" 'cat "$world/gcc-version"'
  make_stub "$world/bin/nvcc12" 'echo "Cuda compilation tools, release 12.4, V12.4.1"'
  make_stub "$world/bin/nvcc13" 'echo "Cuda compilation tools, release 13.0, V13.0.88"'
  echo 12 >"$world/gcc-version"
  make_venv "$world/shared venv"
  chmod -R a+rwX "${world%/*}"
}

remove_world() { rm -rf -- "${world%/*}"; }
