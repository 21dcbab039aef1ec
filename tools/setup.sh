# The slow path of the front door, sourced by ./rollmill when something is missing or out of date. Runs under its lock
# and uses its names: say, fail, child, step, nvcc, cuda_key and the places. Steps: packages, compiler, Python
# environment, CUDA compiler, configure, build; each checks before it acts. Answers come back in REPLY, as from `read`.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # names of ./rollmill
: "${build_root:?is sourced by ./rollmill}"

readonly kTorchGigabytes=8  # the torch wheel and the CUDA libraries unpacked, with room for the build

# Runs a command with its output in the set-up log. In the background, so that a signal reaches us at once.
logged() {
  printf '\n$ %s\n' "$*" >>"$setup_log"
  "$@" >>"$setup_log" 2>&1 </dev/null &
  child=$!
  local status=0
  wait "$child" || status=$?
  child=
  return "$status"
}

# ---- step 1: packages -----------------------------------------------------------------------------------

packages_missing() {
  local name line
  local -a wanted=()
  local -A installed=()
  while read -r name _; do
    [[ -n $name && $name != \#* ]] && wanted+=("$name")
  done <"$root/tools/apt-packages.txt"
  if ! command -v dpkg-query >/dev/null; then
    say "this is not Debian or Ubuntu; please see that the counterparts of these are installed: ${wanted[*]}"
    REPLY=
    return
  fi
  while read -r line name; do
    [[ $line == installed ]] && installed[$name]=1
  done < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null || true)
  REPLY=
  for name in "${wanted[@]}"; do
    [[ -n ${installed[$name]:-} ]] || REPLY+=" $name"
  done
  REPLY=${REPLY# }
}

ensure_packages() {
  step="the check of packages"
  packages_missing
  [[ -n $REPLY ]] || return 0
  local -a missing as_root=()
  read -r -a missing <<<"$REPLY"
  if ((EUID != 0)); then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    else
      fail 2 "packages are missing; please type:" \
        "sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}"
    fi
  fi
  command -v apt-get >/dev/null || fail 2 "packages are missing and there is no apt-get; please install: ${missing[*]}"
  step="the installation of packages"
  say "installing ${#missing[@]} packages: ${missing[*]}"
  as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get)
  # A failed update is no failure yet: the lists may be good enough, or one foreign source is down.
  logged "${as_root[@]}" update || true
  logged "${as_root[@]}" install -y --no-install-recommends "${missing[@]}" ||
    fail_logged "apt-get could not install packages"
}

# Says why a logged command failed, as far as its output tells, in one line.
fail_logged() {
  local tail reason='' code=4
  tail=$(tail -n 40 "$setup_log")
  case $tail in
    *"No space left on device"*) reason="no space left on the disk" ;;
    *"name resolution"* | *"Could not resolve"* | *"Network is unreachable"* | *"NewConnectionError"* | \
      *"Connection refused"* | *"ProxyError"* | *"ConnectTimeout"* | *"Read timed out"*)
      reason="no network" ;;
    *"No matching distribution"*) reason="no such version for this Python and machine" ;;
    *"Permission denied"*) reason="permission denied" ;;
  esac
  fail "$code" "$1${reason:+: $reason}; details: $setup_log"
}

ensure_compiler() {
  local version compiler=${CXX:-g++}
  version=$("$compiler" -dumpversion 2>/dev/null) ||
    fail 2 "no C++ compiler: $compiler does not run; please install g++ 11 or newer"
  [[ $("$compiler" --version) == *clang* ]] && return
  ((${version%%.*} >= 11)) || fail 2 "$compiler is version $version; please install g++ 11 or newer, or name one in CXX"
}

# ---- step 2: the Python environment ---------------------------------------------------------------------

find_python() {
  local candidate
  local check='import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))'
  for candidate in python3 /usr/bin/python3 python3.12 python3.11 python3.13 python3.10; do
    command -v "$candidate" >/dev/null || continue
    if "$candidate" -c "$check" 2>/dev/null; then
      REPLY=$candidate
      return
    fi
  done
  fail 2 "no Python 3.10 to 3.14 with its venv module; please install python3 and python3-venv"
}

free_gigabytes() {  # DIRECTORY (its nearest existing parent counts)
  local dir=$1
  while [[ ! -d $dir ]]; do
    dir=${dir%/*}
    dir=${dir:-/}
  done
  REPLY=$(df -Pk -- "$dir" | awk 'NR == 2 { print int($4 / 1048576) }')
}

# LISTS... → REPLY: what is missing or broken, a line each; empty when the environment satisfies them.
venv_findings() {
  local status=0
  REPLY=$("$venv/bin/python" "$root/tools/check_venv.py" "$@" 2>>"$setup_log") || status=$?
  [[ $status == 0 || -n $REPLY ]] || REPLY="missing python"
}

create_venv() {
  local shown=$venv
  [[ $venv == "$root/.venv" ]] && shown=.venv
  if [[ -e $venv ]]; then
    # Ours can be made anew; what somebody shares is not ours to clear.
    [[ $venv == "$root/.venv" ]] ||
      fail 2 "$venv (ROLLMILL_VENV) has no working Python; please remove it or name another"
    say "the Python environment $shown does not work here (moved or half made): making it anew"
    rm -rf -- "$venv"
  else
    say "making a Python environment in $shown"
  fi
  step="the making of the Python environment"
  find_python
  logged "$REPLY" -m venv "$venv" || {
    [[ $venv == "$root/.venv" ]] && rm -rf -- "$venv"
    fail_logged "could not make the Python environment $venv"
  }
}

# True when the environment's Python runs, and ours was made in this place: scripts in a moved one name the old.
venv_works() {
  "$venv/bin/python" -c '' 2>/dev/null || return 1
  [[ $venv == "$root/.venv" ]] || return 0
  [[ -r $venv/bin/pip && $(head -c 1024 "$venv/bin/pip") == *"$venv/bin/"* ]]
}

pip_install() {
  logged "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off "$@"
}

# LISTS...
ensure_requirements() {
  local findings kind name shown list
  local -a names=() broken=() lists=()
  step="the check of the Python environment"
  venv_findings "$@"
  [[ -n $REPLY ]] || return 0
  findings=$REPLY
  [[ -w $venv ]] ||
    fail 4 "$venv lacks packages and is not writable; please install there: $(missing_names "$findings")"
  while read -r kind name _; do
    names+=("${name}")
    [[ $kind == broken ]] && broken+=("$name")
  done <<<"$findings"
  if [[ " ${names[*]} " == *" torch "* || " ${names[*]} " == *" torch=="* ]]; then
    free_gigabytes "$venv"
    ((REPLY >= kTorchGigabytes)) ||
      fail 4 "not enough space for torch at $venv: $REPLY GB free, $kTorchGigabytes GB needed; or set ROLLMILL_VENV"
    step="the installation of torch"
    say "installing torch and the rest into ${venv/#"$root/"/} (about 5 GB; a minute or two)"
  else
    step="the installation of Python packages"
    shown=$(missing_names "$findings")
    say "installing Python packages: $shown"
  fi
  # Wheels pass through TMPDIR; a small tmpfs there must not stop us.
  free_gigabytes "${TMPDIR:-/tmp}"
  if ((REPLY < 4)); then
    mkdir -p "$build_root/tmp"
    export TMPDIR=$build_root/tmp
  fi
  for list in "$@"; do lists+=(-r "$list"); done
  if ((${#broken[@]})); then
    pip_install --force-reinstall --no-deps "${broken[@]}" || fail_logged "pip could not repair ${broken[*]}"
  fi
  pip_install "${lists[@]}" || fail_logged "pip could not install the requirements"
  venv_findings "$@"
  [[ -z $REPLY ]] || fail 4 "$venv still lacks $(missing_names "$REPLY") after the installation; details: $setup_log"
}

missing_names() {
  local list='' name
  while read -r _ name _; do list+=" $name"; done <<<"$1"
  printf '%s' "${list# }"
}

ensure_venv() {  # KIND
  local lists=("$root/tools/requirements.txt")
  [[ $1 == test ]] && lists+=("$root/tools/requirements-test.txt")
  if venv_works; then  # the common case of a shared environment: satisfied, and not touched
    venv_findings "${lists[@]}"
    [[ -z $REPLY ]] && return
  fi
  mkdir -p -- "${venv%/*}"
  lock "$venv.lock"
  venv_works || create_venv
  ensure_requirements "${lists[@]}"
  unlock
}

# One lock at a time beside the build lock: the environment may be shared between checkouts.
lock() {
  { : >>"$1"; } 2>/dev/null || fail 4 "cannot write $1, the lock of the Python environment"
  exec {venv_lock}>"$1"
  flock -n "$venv_lock" || {
    say "waiting for another set-up of $venv"
    flock "$venv_lock"
  }
}
unlock() { exec {venv_lock}>&-; }

# ---- step 3: CUDA ---------------------------------------------------------------------------------------

# The wheels' nvcc, if there: VENV/lib/python3.X/site-packages/nvidia/cu13/bin/nvcc
wheel_nvcc() {
  REPLY=
  local candidate
  for candidate in "$venv"/lib/python3*/site-packages/nvidia/cu13/bin/nvcc; do REPLY=$candidate; done
}

# nvcc of the wheels looks for its libraries in lib64, the wheels put them in lib; and they ship no development symlink.
link_wheel_toolkit() {
  local toolkit=${1%/bin/nvcc}
  [[ -e $toolkit/lib64 ]] || ln -sfn lib "$toolkit/lib64"
  [[ -e $toolkit/lib/libcudart.so ]] || ln -sfn libcudart.so.13 "$toolkit/lib/libcudart.so"
}

ensure_cuda() {
  local mode found driver version
  nvcc=
  step="the search for CUDA"
  IFS='|' read -r mode found driver <<<"$cuda_key"
  [[ $mode == off ]] && return
  if [[ -n $found ]]; then
    version=$("$found" --version 2>/dev/null | sed -n 's/.*release \([0-9]*\)\..*/\1/p') || true
    if [[ $version == 13 ]]; then
      nvcc=$(readlink -f -- "$found")  # a link in /usr/bin says nothing about where the toolkit is
      [[ ${nvcc##*/} == nvcc ]] || nvcc=$found
      return
    fi
    say "$found is of CUDA ${version:-unknown}, libtorch needs 13: not used"
  fi
  if [[ $mode == auto && $driver == no ]]; then
    return
  fi
  lock "$venv.lock"
  ensure_requirements "$root/tools/requirements-cuda.txt"
  wheel_nvcc
  [[ -n $REPLY ]] || fail 4 "the CUDA wheels hold no nvcc in $venv; details: $setup_log"
  nvcc=$REPLY
  link_wheel_toolkit "$nvcc"
  unlock
}

# ---- step 4: configure and build ------------------------------------------------------------------------

configure() {
  local mark=$build_dir/.configured wanted known='' fresh=()
  local args=(-S "$root" --preset "$preset" "-DROLLMILL_VENV=$venv")
  case $preset in
    cpu-only | asan-ubsan | tsan) args+=(-DROLLMILL_CUDA=OFF) ;;
    *)
      if [[ -n $nvcc ]]; then
        args+=(-DROLLMILL_CUDA=ON "-DCMAKE_CUDA_COMPILER=$nvcc" "-DCUDAToolkit_ROOT=${nvcc%/bin/*}")
      else
        args+=(-DROLLMILL_CUDA=OFF)
      fi
      ;;
  esac
  wanted="${args[*]}"
  [[ -r $mark ]] && { read -r known <"$mark" || true; }
  # Ninja itself re-runs CMake when a CMakeLists.txt changed, but knows nothing of presets or of our arguments.
  if [[ $known == "$wanted" && -e $build_dir/build.ninja && ! $root/CMakePresets.json -nt $mark ]]; then
    return
  fi
  [[ $known == "$wanted" ]] || fresh=(--fresh)  # another compiler or place does not go into an old cache
  step="the configuration"
  if [[ -n $nvcc && $wanted == *CUDA=ON* ]]; then
    say "configuring $preset, CUDA code with $nvcc"
  else
    say "configuring $preset, without CUDA"
  fi
  mkdir -p "$build_dir"
  logged "$venv/bin/cmake" "${args[@]}" "${fresh[@]}" || {
    grep -A 6 'CMake Error' "$setup_log" | tail -n 14 >&2 || true
    fail 1 "CMake failed; details: $setup_log"
  }
  printf '%s\n' "$wanted" >"$mark"
}

# As many compilers as there are cores, but one per 1.5 GB: libtorch's headers are heavy.
job_count() {
  local cores memory=
  cores=$(nproc)
  memory=$(awk '/^MemAvailable/ { print int($2 / 1500000) }' /proc/meminfo 2>/dev/null) || true
  memory=${memory:-$cores}
  REPLY=$((memory < cores ? memory : cores))
  ((REPLY >= 1)) || REPLY=1
}

# Shows "[12/80] ..." lines: in place on a terminal, else a line each quarter. Everything goes to the log.
show_progress() {  # reads from fd $1
  local line columns=80 quarter=-1 done_count total
  [[ -t 2 ]] && columns=$(stty size <&2 2>/dev/null | cut -d' ' -f2) && ((columns > 20)) || columns=80
  while IFS= read -r line <&"$1"; do
    printf '%s\n' "$line" >>"$build_log"
    [[ $line =~ ^\[([0-9]+)/([0-9]+)\]\  ]] || continue
    done_count=${BASH_REMATCH[1]} total=${BASH_REMATCH[2]}
    if [[ -t 2 ]]; then
      printf '\r\033[K%.*s' "$((columns - 1))" "$line" >&2
    elif ((done_count * 4 / total > quarter)); then
      quarter=$((done_count * 4 / total))
      say "building $preset: $done_count of $total"
    fi
  done
  if [[ -t 2 && -n ${done_count:-} ]]; then
    printf '\r\033[K' >&2
  fi
}

build() {  # TARGET
  local output status=0
  job_count
  step="the build"
  mkdir -p "$build_dir"
  : >"$build_log"
  : >"$build_dir/.built-$1.new"  # made before the build: what is edited meanwhile is newer
  exec {output}< <(NINJA_STATUS='[%f/%t] ' exec "$venv/bin/ninja" -C "$build_dir" -j "$REPLY" "$1" 2>&1 </dev/null)
  child=$!
  show_progress "$output"
  wait "$child" || status=$?
  child=
  exec {output}<&-
  if ((status != 0)); then
    awk '/^FAILED:/ && !seen { seen = 1 } seen' "$build_log" | grep -v '^ninja:' | cut -c1-400 | head -n 30 >&2 || true
    fail 1 "the build failed; the whole log: $build_log"
  fi
  mv -f "$build_dir/.built-$1.new" "$build_dir/.built-$1"
  # All includes the program.
  [[ $1 != all ]] || touch -r "$build_dir/.built-all" "$build_dir/.built-rollmill"
}

# ---- all steps of set-up -------------------------------------------------------------------------------------------

set_up() {  # KIND
  setup_is_current "$1" && return
  ensure_packages
  ensure_compiler
  ensure_venv "$1"
  ensure_cuda
  setup_key
  printf '%s\n%s\n' "$REPLY" "$nvcc" >"$build_root/.setup-$1.new"
  mv -f "$build_root/.setup-$1.new" "$build_root/.setup-$1"
}
