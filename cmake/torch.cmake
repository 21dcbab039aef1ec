# rollmill::torch: libtorch from the `torch` wheel of the virtual environment ROLLMILL_VENV, as an imported target of our own.
# (find_package(Torch) wants TORCH_CUDA_ARCH_LIST and injects stale -gencode flags.)
#
#   in   ROLLMILL_VENV            folder of a virtual environment with torch==2.11.0 (cache variable or environment)
#   out  ROLLMILL_TORCH_FOUND, targets rollmill::torch and rollmill_torch (lib/librollmill_torch.so)
include_guard(GLOBAL)

if(NOT ROLLMILL_VENV AND DEFINED ENV{ROLLMILL_VENV})
  set(ROLLMILL_VENV "$ENV{ROLLMILL_VENV}")
endif()
set(ROLLMILL_VENV "${ROLLMILL_VENV}" CACHE PATH "virtual environment that holds the torch wheel")

set(ROLLMILL_TORCH_FOUND FALSE)
file(GLOB _rm_torch_dirs LIST_DIRECTORIES true "${ROLLMILL_VENV}/lib/python3*/site-packages/torch")
list(LENGTH _rm_torch_dirs _rm_torch_count)
if(NOT ROLLMILL_VENV OR NOT _rm_torch_count EQUAL 1)
  message(STATUS "torch: not found (ROLLMILL_VENV='${ROLLMILL_VENV}'); building without librollmill_torch")
  return()
endif()
list(GET _rm_torch_dirs 0 _rm_torch)
get_filename_component(_rm_site "${_rm_torch}" DIRECTORY)

file(STRINGS "${_rm_torch}/version.py" _rm_torch_version REGEX "^__version__ = ")
string(REGEX REPLACE ".*'([^']+)'.*" "\\1" _rm_torch_version "${_rm_torch_version}")

if(NOT _rm_torch_version MATCHES "^2\\.11\\.")
  message(FATAL_ERROR "torch: ${_rm_torch_version} in ${ROLLMILL_VENV}, but 2.11 is wanted: its C++ interface changes between versions")
endif()

add_library(rollmill_torch_import INTERFACE)
add_library(rollmill::torch ALIAS rollmill_torch_import)
target_include_directories(rollmill_torch_import SYSTEM INTERFACE
  "${_rm_torch}/include" "${_rm_torch}/include/torch/csrc/api/include")
target_compile_definitions(rollmill_torch_import INTERFACE
  USE_DISTRIBUTED USE_C10D_GLOO _GLIBCXX_USE_CXX11_ABI=1)  # PyPI's wheels are built with the new ABI since 2.7
target_link_directories(rollmill_torch_import INTERFACE "${_rm_torch}/lib")
target_link_libraries(rollmill_torch_import INTERFACE torch_cpu c10)
target_link_options(rollmill_torch_import INTERFACE "LINKER:-rpath,${_rm_torch}/lib" "LINKER:--disable-new-dtags")

# CUDA and NCCL headers: the toolkit's, else the wheels'.
set(ROLLMILL_TORCH_CUDA FALSE)
if(EXISTS "${_rm_torch}/lib/libtorch_cuda.so")
  find_path(ROLLMILL_CUDA_INCLUDE cuda_runtime_api.h
    HINTS "${_rm_site}/nvidia/cu13/include" /usr/local/cuda/include ENV CUDA_HOME PATH_SUFFIXES include)
  find_path(ROLLMILL_NCCL_INCLUDE nccl.h
    HINTS "${_rm_site}/nvidia/nccl/include" "${ROLLMILL_CUDA_INCLUDE}")
  if(ROLLMILL_CUDA_INCLUDE AND ROLLMILL_NCCL_INCLUDE)
    set(ROLLMILL_TORCH_CUDA TRUE)
    target_include_directories(rollmill_torch_import SYSTEM INTERFACE
      "${ROLLMILL_CUDA_INCLUDE}" "${ROLLMILL_NCCL_INCLUDE}")
    target_compile_definitions(rollmill_torch_import INTERFACE USE_C10D_NCCL RM_TORCH_CUDA)
    # libtorch_cuda registers the CUDA kernels when it is loaded; hardly anything names its symbols.
    target_link_libraries(rollmill_torch_import INTERFACE
      "-Wl,--push-state,--no-as-needed" torch_cuda c10_cuda "-Wl,--pop-state")
  endif()
endif()
find_path(ROLLMILL_GLOO_INCLUDE gloo/context.h)
if(NOT ROLLMILL_GLOO_INCLUDE)
  message(FATAL_ERROR "torch: gloo/context.h not found; install libgloo-dev (its headers only are used)")
endif()
set(ROLLMILL_TORCH_FOUND TRUE)
message(STATUS "torch: ${_rm_torch_version}, CUDA ${ROLLMILL_TORCH_CUDA}")

# The module: process groups, the reference learner, TorchScript files. Opened with dlopen (core/base/module_loader.h); it
# takes nothing from the program but headers, so trainer/may_step.cc and minibatch.cc are compiled into both.
add_library(rollmill_torch MODULE
  core/dist/torch/rendezvous.cc core/dist/torch/process_group_torch.cc
  $<IF:$<BOOL:${ROLLMILL_TORCH_CUDA}>,core/dist/torch/nccl_group.cc,core/dist/torch/nccl_group_none.cc>
  trainer/torch/torch_learner.cc trainer/torch/torchscript_writer.cc trainer/may_step.cc trainer/minibatch.cc)
# (No -z defs: c10's inline functions name the CUDA runtime, which libtorch_cuda brings along.)
target_link_libraries(rollmill_torch PRIVATE rollmill_flags rollmill::torch)
target_compile_options(rollmill_torch PRIVATE -Wno-interference-size)
rollmill_compile_sooner(
  core/dist/torch/rendezvous.cc core/dist/torch/process_group_torch.cc core/dist/torch/nccl_group.cc
  core/dist/torch/nccl_group_none.cc trainer/torch/torch_learner.cc trainer/torch/torchscript_writer.cc)
