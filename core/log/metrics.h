// metrics.jsonl: one JSON object a line, in the order the values were added. Read it with anything.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/log/append_file.h"

namespace rollmill {

struct MetricNumber {
  std::string name;
  double value;  // NaN and infinities as they were added
};

class MetricsRecord {
 public:
  // Doubles are written with the fewest digits that round-trip; NaN and infinities become null
  // (JSON has neither). Bytes of a string that are not UTF-8 become U+FFFD. Give each name once.
  MetricsRecord& add(std::string_view name, double value);
  MetricsRecord& add(std::string_view name, std::int64_t value);
  MetricsRecord& add(std::string_view name, int value) {
    return add(name, static_cast<std::int64_t>(value));
  }
  MetricsRecord& add(std::string_view name, std::string_view value);
  MetricsRecord& add(std::string_view name, const char* value) {
    return add(name, std::string_view(value));
  }

  std::string json() const { return "{" + fields_ + "}"; }

  // The numbers among the values, in the order they were added.
  const std::vector<MetricNumber>& numbers() const { return numbers_; }
  // A number by its name; NaN where there is none.
  double number(std::string_view name) const;

 private:
  MetricsRecord& add_raw(std::string_view name, std::string_view json);

  std::string fields_;
  std::vector<MetricNumber> numbers_;
};

class MetricsWriter {
 public:
  // Opens for appending, creates if missing; a torn last line (a killed writer's) is cut off.
  // Throws Error (I/O).
  explicit MetricsWriter(std::string path);

  // Appends one line with a single write(2): a killed process leaves whole lines. On a full disk
  // the file keeps its whole lines and this throws Error (I/O) with the path and the reason.
  void write(const MetricsRecord& record);

  // Forces what was written to the disk (a machine may lose power). Throws Error (I/O).
  void sync();

  // For resuming from a checkpoint: drops the lines whose `key` is a number greater than `last`,
  // and what is not a JSON object (a torn line). Replaces the file atomically; does nothing if the
  // file is missing or stays as it is.
  static void truncate_after(const std::string& path, const std::string& key, std::int64_t last);

 private:
  AppendFile file_;
};

}  // namespace rollmill
