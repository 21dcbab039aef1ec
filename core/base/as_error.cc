#include "core/base/as_error.h"

#include <filesystem>
#include <new>

namespace rollmill {

Error as_error(const std::exception& exception) {
  if (const auto* known = dynamic_cast<const Error*>(&exception)) return *known;
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&exception))
    return {ExitCode::kIo, file->path1().string() + ": " + file->code().message()};
  if (dynamic_cast<const std::bad_alloc*>(&exception) != nullptr)
    return {ExitCode::kIo, "out of memory; lower env.num_envs or ppo.horizon"};
  return {ExitCode::kIo, std::string("unexpected: ") + exception.what() + "; please report it"};
}

}  // namespace rollmill
