#include "core/log/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>

#include "core/base/error.h"
#include "core/log/console.h"

namespace rollmill {
namespace {

class ConsoleSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit ConsoleSink(int rank) : rank_(rank) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (rank_ != 0 && message.level < spdlog::level::warn) return;
    std::string line;
    if (message.level != spdlog::level::info) line = prefix(message.level);
    line.append(message.payload.data(), message.payload.size());
    Console::get().print_line(line);
  }
  void flush_() override {}

 private:
  std::string prefix(spdlog::level::level_enum level) const {
    const std::string rank = rank_ == 0 ? "" : "rank " + std::to_string(rank_) + ": ";
    const char* name = level == spdlog::level::warn  ? "warning: "
                       : level == spdlog::level::err ? "error: "
                                                     : "debug: ";
    return "rollmill: " + rank + name;
  }

  int rank_;
};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::shared_ptr<spdlog::logger> make_logger(LogLevel level, const std::string& file, int rank) {
  auto logger = std::make_shared<spdlog::logger>("rollmill", std::make_shared<ConsoleSink>(rank));
  if (!file.empty()) {
    try {
      auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
      sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l rank" + std::to_string(rank) + " %v");
      logger->sinks().push_back(std::move(sink));
    } catch (const spdlog::spdlog_ex&) {
      fail_io(file + ": cannot open the log file: " + std::strerror(errno));
    }
  }
  logger->set_level(to_spdlog(level));
  logger->flush_on(spdlog::level::debug);  // a killed process must leave its last lines behind
  // A full disk must not stop the run, nor flood the terminal.
  auto told = std::make_shared<std::once_flag>();
  logger->set_error_handler([told, file](const std::string& what) {
    std::call_once(*told, [&] {
      Console::get().print_line("rollmill: warning: cannot log to " + file + ": " + what);
    });
  });
  return logger;
}

// Leaked like the console, so that messages from destructors of statics still work.
struct State {
  std::mutex mutex;
  std::shared_ptr<spdlog::logger> logger = make_logger(LogLevel::kInfo, "", 0);
};

State& state() {
  static State* state = new State;
  return *state;
}

std::shared_ptr<spdlog::logger> logger() {
  const std::lock_guard<std::mutex> lock(state().mutex);
  return state().logger;
}

void log(spdlog::level::level_enum level, std::string_view text) {
  logger()->log(level, spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace

void init_logging(LogLevel level, const std::string& file, int rank) {
  prepare_standard_streams();
  auto made = make_logger(level, file, rank);
  const std::lock_guard<std::mutex> lock(state().mutex);
  state().logger.swap(made);
}

bool log_enabled(LogLevel level) { return logger()->should_log(to_spdlog(level)); }

void log_debug(std::string_view text) { log(spdlog::level::debug, text); }
void log_info(std::string_view text) { log(spdlog::level::info, text); }
void log_warn(std::string_view text) { log(spdlog::level::warn, text); }
void log_error(std::string_view text) { log(spdlog::level::err, text); }

}  // namespace rollmill
