# One interface target holds what every host translation unit is compiled with.
#
# Floating point: no contraction (an FMA where the source says multiply and add would change bits between machines); fused
# multiply-adds are written out where they are wanted. -fno-math-errno and -fno-trapping-math change no result, they let the
# compiler vectorise selects and square roots.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(ROLLMILL_OPTIMIZATION "-O3" CACHE STRING "Optimisation of the release build; results do not depend on it")
set(CMAKE_CXX_FLAGS_RELEASE "${ROLLMILL_OPTIMIZATION}")
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# rollmill_compile_sooner(FILE ...): of the folder's targets what runs once a job or an update, or waits for files: options, reports,
# files' headers. -O1 takes a third less time to compile, and no result depends on it.
function(rollmill_compile_sooner)
  if(CMAKE_BUILD_TYPE STREQUAL "Release" AND ROLLMILL_OPTIMIZATION STREQUAL "-O3" AND NOT ROLLMILL_SANITIZE)
    set_property(SOURCE ${ARGN} APPEND PROPERTY COMPILE_OPTIONS -O1)
  endif()
endfunction()

# The instruction set of the machine that builds. Results do not depend on it (tests/contract), speed does.
set(ROLLMILL_MARCH ${ROLLMILL_ARCH})
if(ROLLMILL_ARCH STREQUAL "auto")
  set(ROLLMILL_MARCH "")
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND EXISTS /proc/cpuinfo)
    file(STRINGS /proc/cpuinfo cpu_flags REGEX "^flags" LIMIT_COUNT 1)
    set(ROLLMILL_MARCH x86-64-v2)
    if(cpu_flags MATCHES " avx2 " AND cpu_flags MATCHES " fma " AND cpu_flags MATCHES " bmi2 ")
      set(ROLLMILL_MARCH x86-64-v3)
    endif()
    if(cpu_flags MATCHES " avx512f " AND cpu_flags MATCHES " avx512bw " AND cpu_flags MATCHES " avx512dq "
       AND cpu_flags MATCHES " avx512vl " AND cpu_flags MATCHES " avx512cd ")
      set(ROLLMILL_MARCH x86-64-v4)
    endif()
  endif()
endif()

add_library(rollmill_flags INTERFACE)
target_include_directories(rollmill_flags INTERFACE ${CMAKE_SOURCE_DIR})
set(ROLLMILL_HOST_FLAGS -ffp-contract=off -fno-math-errno -fno-trapping-math -Wall -Wextra -Wshadow -Wno-psabi
    -Wno-restrict -Wno-maybe-uninitialized)  # GCC 12 sees overlaps in std::string's own code, and no write in a vectorised loop
if(ROLLMILL_MARCH)
  list(APPEND ROLLMILL_HOST_FLAGS -march=${ROLLMILL_MARCH})
  if(ROLLMILL_MARCH STREQUAL "x86-64-v4")
    list(APPEND ROLLMILL_HOST_FLAGS -mprefer-vector-width=512)
  endif()
endif()
if(ROLLMILL_SANITIZE)
  # -O1 takes half of -O2's time to compile, and vectorises nothing: more of the source is left for the sanitizer to see.
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")
  list(APPEND ROLLMILL_HOST_FLAGS -fsanitize=${ROLLMILL_SANITIZE} -fno-omit-frame-pointer)
  if(ROLLMILL_SANITIZE MATCHES "undefined")
    # A null pointer that is read or written stops at AddressSanitizer; testing for them before costs a sixth of the build. Every
    # load's alignment costs a quarter of it, and x86 loads from anywhere.
    list(APPEND ROLLMILL_HOST_FLAGS -fno-sanitize=null,vptr,object-size,alignment -fno-sanitize-recover=undefined)
    # AddressSanitizer's tests as calls: a sixth less to compile. But a vector's takes so long that a matrix product is twenty times
    # slower: not where networks are computed.
    target_compile_options(rollmill_flags INTERFACE
      $<$<NOT:$<BOOL:$<TARGET_PROPERTY:ROLLMILL_COMPUTES>>>:--param=asan-instrumentation-with-call-threshold=0>)
  endif()
  target_link_options(rollmill_flags INTERFACE -fsanitize=${ROLLMILL_SANITIZE})
endif()
target_compile_options(rollmill_flags BEFORE INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${ROLLMILL_HOST_FLAGS}>)
if(ROLLMILL_VALIDATE)
  target_compile_definitions(rollmill_flags INTERFACE RM_ENABLE_VALIDATE)
endif()

find_program(ROLLMILL_CCACHE ccache)
if(ROLLMILL_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${ROLLMILL_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${ROLLMILL_CCACHE})
endif()
find_program(ROLLMILL_MOLD mold)
if(ROLLMILL_MOLD AND NOT ROLLMILL_SANITIZE)
  target_link_options(rollmill_flags INTERFACE -fuse-ld=mold)
endif()
