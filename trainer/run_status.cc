#include "trainer/run_status.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "core/base/build_info.h"
#include "core/base/error.h"
#include "core/base/host_name.h"
#include "core/io/atomic_file.h"
#include "core/io/dir_lock.h"
#include "core/io/strict_json.h"

namespace rollmill {
namespace {

std::string path_in(const std::string& dir) { return dir + "/RUN_STATUS.json"; }

// "" where there is no readable one: a damaged status only loses the shortcut "already done".
std::string text_in(const std::string& dir) {
  try {
    return file_exists(path_in(dir)) ? read_file(path_in(dir), 1 << 20) : "";
  } catch (const Error&) {
    return "";
  }
}

std::string state_in(const std::string& text) {
  try {
    return parse_json_strict(text, "RUN_STATUS.json", 4).at("state").get<std::string>();
  } catch (const std::exception&) {
    return "";
  }
}

}  // namespace

void write_run_status(const std::string& dir, const std::string& state, int exit_code,
                      std::optional<std::int64_t> env_steps, const std::string& message) {
  nlohmann::ordered_json j;
  j["state"] = state;
  j["exit_code"] = exit_code;
  j["step"] = env_steps ? nlohmann::ordered_json(*env_steps) : nlohmann::ordered_json(nullptr);
  j["host"] = host_name();
  j["pid"] = static_cast<std::int64_t>(getpid());
  j["build"] = build_info();
  if (!message.empty()) j["message"] = message;
  write_file_atomic(path_in(dir),
                    j.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

std::string read_run_state(const std::string& dir) { return state_in(text_in(dir)); }

bool run_has_died(const std::string& dir) {
  const std::string before = text_in(dir);
  // A process that ends well says so before it lets the folder go, and may do both between two looks.
  return state_in(before) == "running" && !is_held(dir) && text_in(dir) == before;
}

}  // namespace rollmill
