// Version, commit, compiler and target of this build, one line; written by cmake/build_info.cmake.
#pragma once

namespace rollmill {

const char* build_info();

}  // namespace rollmill
