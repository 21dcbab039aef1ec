// A folder of a test's own, gone when the test ends; and the exit code that a call fails with.
#pragma once

#include <stdlib.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "core/base/error.h"

namespace rollmill::testing {

class TempDir {
 public:
  TempDir() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "rollmill-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::string path_;
};

// Runs f; 0 when it returns, else the exit code of its Error. Every message must be one line.
template <typename F>
int exit_code_of(F&& f, std::string* message = nullptr) {
  try {
    f();
    return 0;
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    if (message != nullptr) *message = text;
    return static_cast<int>(error.code());
  }
}

}  // namespace rollmill::testing
