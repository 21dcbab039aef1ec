// Reading the file and applying the overrides.
#include <fcntl.h>
#include <unistd.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "core/base/error.h"
#include "core/config/config.h"
#include "core/config/toml.h"

namespace rollmill {
namespace {

constexpr std::ptrdiff_t kMaxKeyDots = 15;

struct FileDescriptor {
  explicit FileDescriptor(int opened) : fd(opened) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd >= 0) ::close(fd);
  }
  int fd;
};

std::string read_config_file(const std::string& path, const std::string& name) {
  // Without O_NONBLOCK, opening a FIFO would wait for its writer for ever.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (file.fd < 0 || ::fstat(file.fd, &info) != 0) {
    const std::string reason = errno == ENOENT ? "no such config file" : std::strerror(errno);
    fail_usage(name + ": cannot read the config: " + reason);
  }
  if (S_ISDIR(info.st_mode)) fail_usage(name + ": is a directory, not a config file");
  if (!S_ISREG(info.st_mode)) fail_usage(name + ": is not a regular file; give a TOML file");
  std::string text;
  char buffer[1 << 16];
  while (text.size() <= Config::kMaxFileBytes) {
    const ssize_t count = ::read(file.fd, buffer, sizeof buffer);
    if (count == 0) return text;
    if (count < 0 && errno != EINTR)
      fail_usage(name + ": cannot read the config: " + std::strerror(errno));
    if (count > 0) text.append(buffer, static_cast<std::size_t>(count));
  }
  fail_usage(name + ": larger than 4 MiB, hardly a config file");
}

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

}  // namespace

Config Config::from_file(const std::string& path, const std::vector<std::string>& overrides) {
  const std::string name = one_line(path, 500);
  return from_string(read_config_file(path, name), name, overrides);
}

Config Config::from_string(const std::string& text, const std::string& name,
                           const std::vector<std::string>& overrides) {
  if (text.size() > kMaxFileBytes) fail_usage(name + ": larger than 4 MiB, hardly a config file");
  Config config;
  config.name_ = name;
  TomlDocument document = parse_toml(text, name);
  const auto where = [&](int line) { return name + ":" + std::to_string(line); };
  // In the order of the text, a section before what it holds: keys_under() gives it back.
  auto section = document.sections.begin();
  const auto add_sections_to = [&](int line) {
    for (; section != document.sections.end() && section->line <= line; ++section)
      config.add_section(section->key, where(section->line));
  };
  for (auto& item : document.values) {
    add_sections_to(item.line);
    config.set(item.key,
               Entry{.value = std::move(item.value), .where = where(item.line), .raw = ""});
  }
  add_sections_to(std::numeric_limits<int>::max());
  for (const std::string& override_text : overrides) config.apply_override(override_text);
  return config;
}

void Config::apply_override(const std::string& text) {
  const std::string where = "--set " + one_line(text);
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) fail_usage(where + ": expected key=value");
  const std::string key = trimmed(std::string_view(text).substr(0, equals));
  const std::string raw = trimmed(std::string_view(text).substr(equals + 1));
  if (!is_dotted_key(key)) {
    fail_usage(
        where +
        ": not a key before \"=\"; keys are names of letters, digits, _ and - joined by dots");
  }
  if (std::count(key.begin(), key.end(), '.') > kMaxKeyDots)
    fail_usage(where + ": sections nested too deep");
  if (find_invalid_utf8(raw) != std::string::npos)
    fail_usage(where + ": the value is not UTF-8 text");

  auto document = parse_toml_value(raw);
  if (!document) {
    set(key, Entry{.value = {raw}, .where = where, .raw = raw, .is_override = true});
    return;
  }
  for (const auto& section : document->sections) add_section(key + section.key, where, true);
  for (auto& item : document->values) {
    set(key + item.key, Entry{.value = std::move(item.value),
                              .where = where,
                              .raw = item.key.empty() ? raw : "",
                              .is_override = true});
  }
}

void Config::set(const std::string& key, Entry entry) {
  entry.order = next_order_++;
  if (const auto section = sections_.find(key); section != sections_.end()) {
    if (!entry.is_override) fail_is_section(key, entry);
    in_place_of_sections_[key] = std::move(entry);
    return;
  }
  const std::size_t dot = key.rfind('.');
  if (dot != std::string::npos) add_section(key.substr(0, dot), entry.where, entry.is_override);
  entries_[key] = std::move(entry);
}

void Config::fail_is_section(const std::string& key, const Entry& entry) const {
  fail_usage(entry.where + ": " + key + ": is a section (" + sections_.at(key).where +
             "); set the keys in it");
}

void Config::ignore(const std::string& section) {
  const std::string inside = section + ".";
  for (auto& [key, entry] : entries_) entry.read = entry.read || key.starts_with(inside);
  for (const auto& [key, unused] : sections_) {
    if (key == section || key.starts_with(inside)) known_sections_.push_back(key);
  }
}

void Config::keep_last_override(const std::string& key) {
  if (sections_.count(key) == 0) return;
  const std::vector<std::string> names = keys_under(key);
  const Entry* last = nullptr;
  for (const std::string& name : names) {
    const auto entry = entries_.find(key + "." + name);
    if (entry == entries_.end() || !entry->second.is_override) continue;
    if (last == nullptr || entry->second.order > last->order) last = &entry->second;
  }
  const auto plain = in_place_of_sections_.find(key);
  if (plain != in_place_of_sections_.end()) {
    Entry entry = std::move(plain->second);
    in_place_of_sections_.erase(plain);
    if (last == nullptr || entry.order > last->order) {
      remove_section(key);
      entries_[key] = std::move(entry);
      return;
    }
  }
  if (last == nullptr) return;
  // (Several of one override are left together, for the reader to refuse.)
  const std::string where = last->where;
  for (const std::string& name : names) {
    const auto entry = entries_.find(key + "." + name);
    if (entry != entries_.end() && entry->second.where != where) entries_.erase(entry);
  }
}

void Config::remove_section(const std::string& section) {
  const std::string inside = section + ".";
  std::erase_if(entries_, [&](const auto& item) { return item.first.starts_with(inside); });
  std::erase_if(sections_, [&](const auto& item) {
    return item.first == section || item.first.starts_with(inside);
  });
}

void Config::add_section(const std::string& key, const std::string& where, bool by_override) {
  for (std::size_t dot = key.find('.');; dot = key.find('.', dot + 1)) {
    const std::string part = key.substr(0, dot);
    if (const auto entry = entries_.find(part); entry != entries_.end()) {
      if (!by_override) {
        fail_usage(where + ": " + part + ": is " + describe_type(entry->second.value) + " (" +
                   entry->second.where + "), not a section");
      }
      entries_.erase(entry);
    }
    if (sections_.try_emplace(part, Section{where, next_order_}).second) ++next_order_;
    if (dot == std::string::npos) return;
  }
}

}  // namespace rollmill
