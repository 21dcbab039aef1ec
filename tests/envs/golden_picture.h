// Pictures by their hashes in tests/golden/pictures.txt: lines of name, width, height, XXH3-128 of the RGB bytes.
// A hash that changed is another picture on everybody's machine: look at it (rollmill render) before its line is
// replaced by what ROLLMILL_PRINT_GOLDEN=1 prints.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <span>
#include <string>

#include "core/image/picture.h"
#include "core/io/hash.h"

namespace rollmill {

inline void expect_golden_picture(const std::string& name, const Picture& picture) {
  const std::string line = name + ' ' + std::to_string(picture.width) + ' ' +
                           std::to_string(picture.height) + ' ' +
                           xxh3_128_hex(std::as_bytes(std::span(picture.rgb)));
  if (std::getenv("ROLLMILL_PRINT_GOLDEN") != nullptr) std::printf("%s\n", line.c_str());
  std::ifstream file(std::string(RM_TEST_DATA_DIR) + "/golden/pictures.txt");
  for (std::string stored; std::getline(file, stored);) {
    if (stored.rfind(name + ' ', 0) != 0) continue;
    EXPECT_EQ(line, stored);
    return;
  }
  FAIL() << "no picture stored for " << name << "; ROLLMILL_PRINT_GOLDEN=1 prints it";
}

}  // namespace rollmill
