# librollmill_cuda: all device code, in one shared module that is opened only when a GPU is asked for. Built where a CUDA
# compiler is found; the rest of the program does not need it.
#
#   in   target rollmill_flags, the environments of rollmill_add_env()
#   out  ROLLMILL_CUDA_FOUND, targets rollmill_cuda (lib/librollmill_cuda.so), rollmill_env_kernels (its objects with the steps of
#        environments), ROLLMILL_PTX_INSIDE (whether those hold their PTX, uncompressed, for tools/check_ptx.py)
#
# --fmad=false: an add and a mul of the source stay an add and a mul (the policy's kernels write their fused ones out). It holds
# for the whole module: no file in it wants contraction.
include_guard(GLOBAL)

set(ROLLMILL_CUDA_FOUND FALSE)
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  file(GLOB _rm_wheel_nvcc "${ROLLMILL_VENV}/lib/python3*/site-packages/nvidia/cu13/bin/nvcc")
  find_program(ROLLMILL_NVCC nvcc HINTS ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT ROLLMILL_NVCC AND _rm_wheel_nvcc)
    list(GET _rm_wheel_nvcc 0 ROLLMILL_NVCC)
  endif()
  if(ROLLMILL_NVCC)
    set(CMAKE_CUDA_COMPILER "${ROLLMILL_NVCC}")
  endif()
endif()
# Machine code for Ampere, Hopper and Blackwell data-centre GPUs (and their families), all of it from one PTX, which is kept for what
# comes later (docs/decisions/0031). Whoever sets CMAKE_CUDA_ARCHITECTURES gets each of them compiled from the source.
set(_rm_cuda_code "")
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES OFF)
  set(_rm_cuda_code "--generate-code=arch=compute_80,code=[compute_80,sm_80,sm_90,sm_100]")
endif()
set(_rm_with_ptx ${CMAKE_CUDA_ARCHITECTURES})
list(FILTER _rm_with_ptx EXCLUDE REGEX "-real$|^(native|OFF)$")
if(_rm_with_ptx OR _rm_cuda_code)
  set(ROLLMILL_PTX_INSIDE TRUE)
else()
  set(ROLLMILL_PTX_INSIDE FALSE)
  message(STATUS "cuda: no PTX in the module (CMAKE_CUDA_ARCHITECTURES=${CMAKE_CUDA_ARCHITECTURES}): no test reads it")
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  message(STATUS "cuda: no nvcc; building without librollmill_cuda")
  return()
endif()
enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
set(CMAKE_CUDA_FLAGS_RELEASE "-O3")
set(ROLLMILL_CUDA_FOUND TRUE)
if(_rm_cuda_code)
  message(STATUS "cuda: ${CMAKE_CUDA_COMPILER} ${CMAKE_CUDA_COMPILER_VERSION}, one PTX for sm_80, sm_90 and sm_100")
else()
  message(STATUS "cuda: ${CMAKE_CUDA_COMPILER} ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")
endif()

# One translation unit for the environments of a folder (most of an environment's own would go by before its first line is reached),
# and their table. A unit each and a second table for those that play a whole rollout in one kernel, whose step is short beside a
# policy's: rollmill_add_env(... FUSED). (Files of their own: the policy's kernels write fused multiply-adds, which
# tools/check_ptx.py finds in no environment's.)
get_property(_rm_types GLOBAL PROPERTY ROLLMILL_ENV_TYPES)
get_property(_rm_headers GLOBAL PROPERTY ROLLMILL_ENV_HEADERS)
get_property(_rm_folders GLOBAL PROPERTY ROLLMILL_ENV_FOLDERS)
get_property(_rm_fused GLOBAL PROPERTY ROLLMILL_FUSED_ENVS)
set(_rm_sources "")
set(_rm_declarations "")
set(_rm_entries "")
set(_rm_fused_sources "")
set(_rm_fused_declarations "")
set(_rm_fused_entries "")
foreach(type header folder IN ZIP_LISTS _rm_types _rm_headers _rm_folders)
  string(APPEND _rm_includes_of_${folder} "#include \"${header}\"\n")
  string(APPEND _rm_makers_of_${folder}
    "const char* ${type}_cuda_id() { return ${type}::info.id; }\n"
    "EnvBatch* ${type}_make_cuda(const BatchConfig& config, int device) { return new CudaBatch<${type}>(config, device); }\n")
  string(APPEND _rm_declarations
    "const char* ${type}_cuda_id();\nEnvBatch* ${type}_make_cuda(const BatchConfig& config, int device);\n")
  string(APPEND _rm_entries "  if (name == ${type}_cuda_id()) return ${type}_make_cuda(*config, device);\n")
  if(NOT type IN_LIST _rm_fused)
    continue()
  endif()
  set(source ${CMAKE_BINARY_DIR}/generated/envs/${type}_rollout.cu)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"#include \"@header@\"
#include \"rollout/fused_rollout_cuda.cuh\"

namespace rollmill {
FusedRollout @type@_rollout() { return fused_rollout<@type@>; }
}  // namespace rollmill
")
  list(APPEND _rm_fused_sources ${source})
  string(APPEND _rm_fused_declarations
    "const char* ${type}_cuda_id();\nFusedRollout ${type}_rollout();\n")
  string(APPEND _rm_fused_entries "  if (env_id == ${type}_cuda_id()) return ${type}_rollout();\n")
endforeach()
list(REMOVE_DUPLICATES _rm_folders)
foreach(folder IN LISTS _rm_folders)
  set(includes "${_rm_includes_of_${folder}}")
  set(makers "${_rm_makers_of_${folder}}")
  set(source ${CMAKE_BINARY_DIR}/generated/envs/${folder}_cuda.cu)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"@includes@#include \"envs/batch_cuda.cuh\"

namespace rollmill {
@makers@}  // namespace rollmill
")
  list(APPEND _rm_sources ${source})
endforeach()
set(_rm_table ${CMAKE_BINARY_DIR}/generated/envs/cuda_table.cc)
file(CONFIGURE OUTPUT ${_rm_table} @ONLY CONTENT
"#include \"envs/cuda_module.h\"

#include <string_view>

namespace rollmill {
@_rm_declarations@}  // namespace rollmill

extern \"C\" rollmill::EnvBatch* rollmill_make_cuda_batch(const char* id, const rollmill::BatchConfig* config, int device) {
  using namespace rollmill;
  const std::string_view name = id;
@_rm_entries@  return nullptr;
}
")
set(_rm_fused_table ${CMAKE_BINARY_DIR}/generated/envs/fused_table.cc)
file(CONFIGURE OUTPUT ${_rm_fused_table} @ONLY CONTENT
"#include \"rollout/fused_rollout.h\"

namespace rollmill {
@_rm_fused_declarations@
FusedRollout find_fused_rollout(const std::string& env_id) {
@_rm_fused_entries@  return nullptr;
}
}  // namespace rollmill
")

# -Xcompiler takes the host flags that decide bits; -march is left out: no host code here is hot.
set(_rm_cuda_flags --fmad=false --expt-relaxed-constexpr ${_rm_cuda_code}
  "SHELL:-Xcompiler=-ffp-contract=off,-fno-math-errno,-fno-trapping-math,-Wall,-Wextra")

add_library(rollmill_env_kernels OBJECT ${_rm_sources})
target_link_libraries(rollmill_env_kernels PRIVATE rollmill_flags)
target_compile_options(rollmill_env_kernels PRIVATE ${_rm_cuda_flags} --no-compress)

# What takes longest to compile comes first.
add_library(rollmill_cuda MODULE
  trainer/fused/learner_memory_bf16_cuda.cu trainer/fused/learner_memory_cuda.cu trainer/fused/learner_cuda.cu
  rollout/mlp/policy_cuda.cu trainer/algos/twin_cuda.cu trainer/algos/dqn_cuda.cu
  ${_rm_fused_sources} ${_rm_fused_table} $<TARGET_OBJECTS:rollmill_env_kernels> ${_rm_table}
  core/device/cuda_memory.cu rollout/cuda_rollout.cu rollout/collector_cuda.cu rollout/rollout_pair_cuda.cu
  rollout/buffer.cc trainer/minibatch.cc)
if(NOT ROLLMILL_SANITIZE)
  target_link_options(rollmill_cuda PRIVATE LINKER:-z,defs)  # a missing symbol is an error now, not at dlopen
endif()
target_link_libraries(rollmill_cuda PRIVATE rollmill_flags)
target_compile_options(rollmill_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:${_rm_cuda_flags}>)
set_target_properties(rollmill_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static)
