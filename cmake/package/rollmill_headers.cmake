# The headers that a plugin and the program share, and their hash: a plugin built against other ones is refused, since a type or a
# virtual function may have changed its place.
#
#   include(rollmill_headers)                        gives rollmill_shared_headers(ROOT VARIABLE)
#   cmake -DROOT=... -DOUT=... -P rollmill_headers.cmake   writes OUT, a header with RM_HEADERS_HASH
function(rollmill_shared_headers root variable)
  set(all "")
  set(again CONFIGURE_DEPENDS)  # a new header counts, too
  if(CMAKE_SCRIPT_MODE_FILE)
    set(again "")
  endif()
  foreach(folder core/base core/math core/rng core/schema core/image envs)
    file(GLOB headers RELATIVE ${root} ${again} ${root}/${folder}/*.h)
    list(APPEND all ${headers})
  endforeach()
  list(SORT all)
  set(${variable} ${all} PARENT_SCOPE)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  cmake_minimum_required(VERSION 3.25)
  rollmill_shared_headers(${ROOT} headers)
  set(text "")
  foreach(header IN LISTS headers)
    file(SHA256 ${ROOT}/${header} hash)
    string(APPEND text "${header} ${hash}\n")
  endforeach()
  string(SHA256 hash "${text}")
  string(SUBSTRING ${hash} 0 16 hash)
  file(WRITE ${OUT} "#define RM_HEADERS_HASH \"${hash}\"\n")
endif()
