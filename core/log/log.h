// Logging for people. Console: short lines on stderr ("rollmill: warning: ..."; info is plain text,
// rank 0 only). File: everything of the chosen level, with time, level and rank. Safe from any
// thread; never throws after set-up.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>

namespace rollmill {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

// Chooses level, file (appended to; "" for none) and this process's rank. Calls
// prepare_standard_streams(). Before it, and without it, messages from info up go to the console.
// Call again to change. Throws Error (I/O) if the file cannot be opened.
void init_logging(LogLevel level, const std::string& file = "", int rank = 0);

// Whether a message of this level would go anywhere: guards costly formatting.
bool log_enabled(LogLevel level);

void log_debug(std::string_view text);
void log_info(std::string_view text);
void log_warn(std::string_view text);
void log_error(std::string_view text);

// log_info("{} episodes", n): formats are checked at compile time.
template <typename T, typename... Rest>
void log_debug(fmt::format_string<T, Rest...> format, T&& first, Rest&&... rest) {
  if (!log_enabled(LogLevel::kDebug)) return;
  log_debug(
      std::string_view(fmt::format(format, std::forward<T>(first), std::forward<Rest>(rest)...)));
}
template <typename T, typename... Rest>
void log_info(fmt::format_string<T, Rest...> format, T&& first, Rest&&... rest) {
  if (!log_enabled(LogLevel::kInfo)) return;
  log_info(
      std::string_view(fmt::format(format, std::forward<T>(first), std::forward<Rest>(rest)...)));
}
template <typename T, typename... Rest>
void log_warn(fmt::format_string<T, Rest...> format, T&& first, Rest&&... rest) {
  log_warn(
      std::string_view(fmt::format(format, std::forward<T>(first), std::forward<Rest>(rest)...)));
}
template <typename T, typename... Rest>
void log_error(fmt::format_string<T, Rest...> format, T&& first, Rest&&... rest) {
  log_error(
      std::string_view(fmt::format(format, std::forward<T>(first), std::forward<Rest>(rest)...)));
}

}  // namespace rollmill
