#!/usr/bin/env bash
# Tests of the front door ./rollmill against a world of stubs: no network, no packages, no compiler, no GPU.
#
#   tests/frontdoor/frontdoor_test.sh [REPOSITORY]
set -euo pipefail

repository=$(cd -- "${1:-$(dirname -- "${BASH_SOURCE[0]}")/../..}" && pwd)
# shellcheck source-path=SCRIPTDIR source=stubs.sh
source "$repository/tests/frontdoor/stubs.sh"
# What the tests themselves run under must not reach the front door.
unset RANK ROLLMILL_VENV CUDACXX CXX

passed=0
failed=0
status=0
runner=()

# Runs the front door from $world/elsewhere; leaves $world/out, $world/err and $status.
front_door() {
  status=0
  (
    cd "$world/elsewhere"
    exec "${runner[@]}" env HOME="$world/home" PATH="$world/bin:/usr/bin:/bin" ROLLMILL_VENV="$world/shared venv" \
      "${settings[@]}" "$checkout/rollmill" "$@"
  ) >"$world/out" 2>"$world/err" </dev/null || status=$?
}

oops() {
  printf '  %s: %s\n' "$current" "$1"
  printf '    status %s\n    out: %s\n' "$status" "$(<"$world/out")"
  printf '    err: %s\n    calls: %s\n' "$(<"$world/err")" "$(<"$world/calls")"
  ok=false
}
exits() { [[ $status == "$1" ]] || oops "exit $status, not $1"; }
says() { grep -qF -- "$1" "$world/err" || oops "stderr lacks '$1'"; }
prints() { grep -qxF -- "$1" "$world/out" || oops "stdout lacks the line '$1'"; }
one_line() { [[ $(wc -l <"$world/err") == 1 ]] || oops "not one line on stderr"; }
silent() { [[ ! -s $world/err ]] || oops "stderr is not empty"; }
called() { grep -qE -- "$1" "$world/calls" || oops "no call like '$1'"; }
not_called() { ! grep -qE -- "$1" "$world/calls" || oops "a call like '$1'"; }
nothing_called() { [[ ! -s $world/calls ]] || oops "something was called"; }
forget() { : >"$world/calls"; }
built() { front_door --no-cuda envs; exits 0; forget; }

# ---- the tests -----------------------------------------------------------------------------------------------------

test_help() {
  front_door --help
  exits 0
  prints "usage: ./rollmill [options] SUBCOMMAND [arguments]"
  silent
  nothing_called
}

test_wrong_options_are_one_line() {
  local -a words
  for words in "--frobnicate envs" "--preset" "build --what" "clean here" "test --target"; do
    # shellcheck disable=SC2086  # these are words
    front_door $words
    exits 2
    one_line
  done
  front_door
  exits 2
  one_line
  nothing_called
}

test_no_setup_without_binary() {
  front_door --no-setup envs
  exits 2
  one_line
  says "./rollmill build"
  nothing_called
  [[ ! -e $checkout/build ]] || oops "a build folder was made"
}

test_rank_only_executes() {
  settings=(RANK=0)
  front_door train x.toml
  exits 2
  one_line
  nothing_called
  front_door setup
  exits 2
  one_line
  settings=()
  built
  sleep 0.02
  touch "$checkout/core/a.h"
  settings=(RANK=0)
  front_door train x.toml
  exits 0
  prints "program|train|x.toml|$world/elsewhere"
  nothing_called
}

test_first_run_then_nothing_to_do() {
  front_door --no-cuda train "my config.toml" --seed 3
  exits 0
  prints "program|train|my config.toml|--seed|3|$world/elsewhere"
  called "cmake .*--preset release .*-DROLLMILL_CUDA=OFF"
  called "ninja -C .*/a checkout/build/release .*rollmill$"
  not_called "pip|apt-get"
  forget
  front_door envs
  exits 0
  silent
  nothing_called
}

# The budget is 50 ms with the program; ten times that separates a slow machine from a set-up that runs again.
test_nothing_to_do_is_quick() {
  built
  local began ended i
  began=$(date +%s%N)
  for ((i = 0; i < 10; ++i)); do front_door envs; done
  ended=$(date +%s%N)
  printf '  nothing to do: %d us\n' $(((ended - began) / 10000))
  ((ended - began < 10 * 500000000)) || oops "takes $(((ended - began) / 10000)) us"
}

test_sources_decide_about_building() {
  built
  sleep 0.02
  touch "$checkout/core/a.h"
  front_door envs
  exits 0
  called "^ninja"
  not_called "^cmake"
  forget
  sleep 0.02
  rm "$checkout/core/a.h"
  front_door envs
  called "^ninja"
  forget
  sleep 0.02
  touch "$checkout/CMakePresets.json"
  front_door envs
  called "^cmake"
  not_called "--fresh"
}

test_requirements_decide_about_setup() {
  built
  sleep 0.02
  touch "$checkout/tools/requirements.txt"
  front_door envs
  exits 0
  called "^python .*check_venv.py"
  not_called "pip"
  forget
  front_door envs
  nothing_called
}

# Somebody else's `pip install` into a shared environment changes its folder: look again, once.
test_changed_environment_is_looked_at() {
  local site="$world/shared venv/lib/python3.11/site-packages"
  mkdir -p "$site"
  built
  sleep 0.02
  touch "$site"
  front_door envs
  exits 0
  called "^python .*check_venv.py"
  not_called "pip"
  forget
  front_door envs
  nothing_called
}

test_works_through_a_link() {
  built
  ln -s "$checkout/rollmill" "$world/elsewhere/rm"
  status=0
  (cd "$world/elsewhere" && PATH="$world/bin:/usr/bin:/bin" ROLLMILL_VENV="$world/shared venv" ./rm envs) \
    >"$world/out" 2>"$world/err" || status=$?
  exits 0
  prints "program|envs|$world/elsewhere"
}

test_half_installed_environment_is_repaired() {
  printf 'broken torch==2.11.0\nmissing numpy numpy\n' >"$world/findings"
  front_door --no-cuda envs
  exits 0
  called "pip .*--force-reinstall --no-deps torch==2.11.0"
  called "pip .*-r .*requirements.txt"
  says "installing torch"
}

test_moved_environment_is_made_anew() {
  make_venv "$checkout/.venv"
  printf '#!/gone/bin/python\n' >"$checkout/.venv/bin/pip"
  # shellcheck disable=SC2016  # the stub expands these
  make_stub "$world/bin/python3" '
[[ $* == *"-m venv"* ]] || exit 0
cp -r "$world/shared venv" "$3"
echo "#!$3/bin/python" >"$3/bin/pip"'
  settings=(ROLLMILL_VENV=)
  front_door --no-cuda envs
  exits 0
  says "making it anew"
  called "^python3 -m venv .*/a checkout/.venv"
}

test_missing_packages_with_root_or_sudo() {
  printf 'installed g++\n' >"$world/packages"
  touch "$world/sudo-works"
  front_door --no-cuda envs
  exits 0
  called "^apt-get install -y --no-install-recommends libhdf5-dev$"
}

test_missing_packages_without_root() {
  printf 'installed g++\n' >"$world/packages"
  if ((EUID == 0)); then runner=(setpriv --reuid 65534 --regid 65534 --clear-groups); fi
  front_door --no-cuda envs
  exits 2
  one_line
  says "sudo apt-get update && sudo apt-get install -y --no-install-recommends libhdf5-dev"
  not_called "^apt-get"
}

test_old_compiler() {
  echo 10 >"$world/gcc-version"
  front_door --no-cuda envs
  exits 2
  one_line
  says "g++ 11 or newer"
}

test_no_network() {
  echo 'missing numpy numpy' >"$world/findings"
  echo 'NewConnectionError: Temporary failure in name resolution' >"$world/pip-fails"
  front_door --no-cuda envs
  exits 4
  says "no network"
  [[ $(tail -n 1 "$world/err") == *"no network"* ]] || oops "the reason is not the last line"
  rm "$world/pip-fails"
  front_door --no-cuda envs
  exits 0
}

test_no_space() {
  echo 'missing torch torch==2.11.0' >"$world/findings"
  make_stub "$world/bin/df" 'printf "Filesystem\nnone 9 9 3145728 9%% /\n"'
  front_door --no-cuda envs
  exits 4
  one_line
  says "3 GB free"
  not_called "pip"
}

test_failed_steps_name_their_log() {
  touch "$world/cmake-fails"
  front_door --no-cuda envs
  exits 1
  says "CMake Error at CMakeLists.txt:7"
  says "build/setup.log"
  rm "$world/cmake-fails"
  touch "$world/ninja-fails"
  front_door --no-cuda envs
  exits 1
  says "expected everything"
  [[ $(tail -n 1 "$world/err") == *"build/release/build.log" ]] || oops "the last line does not name the log"
  rm "$world/ninja-fails"
  front_door --no-cuda envs
  exits 0
}

test_interruption() {
  touch "$world/ninja-sleeps"
  local signal code began=$SECONDS
  for signal in INT:130 TERM:75; do
    code=${signal#*:}
    # --foreground: the signal goes to the front door alone, as from a launcher.
    runner=(timeout --foreground --preserve-status -s "${signal%:*}" 1)
    front_door --no-cuda envs
    exits "$code"
    says "interrupted during the build"
    ! kill -0 "$(<"$world/ninja-pid")" 2>/dev/null || oops "ninja still runs"
  done
  ((SECONDS - began < 20)) || oops "ninja was waited for (30 s), not stopped"
  runner=()
  rm "$world/ninja-sleeps"
  front_door envs
  exits 0
}

test_two_at_once_build_once() {
  touch "$world/ninja-slow"
  local first=0
  (front_door --no-cuda envs; exit "$status") &
  sleep 0.1
  front_door --no-cuda envs
  exits 0
  wait $! || first=$?
  [[ $first == 0 ]] || oops "the first exits $first"
  [[ $(grep -c '^ninja' "$world/calls") == 1 ]] || oops "ninja ran more than once"
}

test_tests_go_to_ctest() {
  front_door --no-cuda test -R Config
  exits 0
  called "ninja .* all$"
  called "check_venv.py.*requirements-test.txt"
  called "ctest --test-dir .*/build/release --output-on-failure --no-tests=error -j2 -LE \^soak\\$ -R Config$"
  [[ $(tail -n 1 "$world/out") == "100% tests passed, 0 tests failed out of 1" ]] || oops "ctest has not the last word"
  forget
  front_door --preset tsan test --soak
  called "ctest --test-dir .*/build/tsan .*-L \^soak\\$"
}

test_unknown_preset() {
  front_door --no-cuda --preset nope build
  exits 2
  one_line
  not_called "^cmake"
}

test_cuda_of_another_release_is_not_used() {
  settings=(CUDACXX="$world/bin/nvcc12")
  printf 'missing nvidia-cuda-nvcc nvidia-cuda-nvcc\n' >"$world/findings-cuda"
  front_door --cuda envs
  exits 0
  says "not used"
  local toolkit="$world/shared venv/lib/python3.11/site-packages/nvidia/cu13"
  called "cmake .*-DROLLMILL_CUDA=ON -DCMAKE_CUDA_COMPILER=$toolkit/bin/nvcc -DCUDAToolkit_ROOT=$toolkit"
  [[ -L $toolkit/lib64 ]] || oops "no lib64 for nvcc to find its libraries in"
}

test_cuda_choice_stays() {
  settings=(CUDACXX="$world/bin/nvcc13")
  front_door envs
  called "cmake .*-DROLLMILL_CUDA=ON -DCMAKE_CUDA_COMPILER=$world/bin/nvcc13"
  forget
  front_door --no-cuda envs
  exits 0
  called "cmake .*-DROLLMILL_CUDA=OFF.* --fresh"
  forget
  front_door envs
  exits 0
  nothing_called
}

test_clean() {
  built
  front_door clean
  exits 0
  [[ ! -e $checkout/build && -e $checkout/rollmill ]] || oops "clean left build or took more"
}

# ---- run them ------------------------------------------------------------------------------------------------------

for current in $(compgen -A function test_); do
  make_world "$repository"
  : >"$world/out"
  : >"$world/err"
  settings=()
  runner=()
  status=0
  ok=true
  "$current"
  remove_world
  if $ok; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED %s\n' "$current"
  fi
done
printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
