#include "core/log/tensorboard.h"

#include <unistd.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>

#include "core/base/error.h"
#include "core/base/host_name.h"
#include "core/log/protobuf.h"
#include "core/log/record_file.h"

namespace rollmill {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "events.out.tfevents.";

// Field numbers of tensorboard/compat/proto/{event,summary,tensor,types}.proto, plugins/hparams/plugin_data.proto and
// google/protobuf/struct.proto.
namespace event {
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
}
namespace summary {
constexpr int kValue = 1, kTag = 1, kSimpleValue = 2, kTensor = 8, kMetadata = 9;
constexpr int kPluginData = 1, kPluginName = 1, kPluginContent = 2;
}  // namespace summary
namespace tensor {
constexpr int kType = 1, kShape = 2, kDim = 2, kSize = 1, kFloats = 5, kStrings = 8;
constexpr int kFloat = 1, kString = 7;  // DataType
}  // namespace tensor
namespace hparams {
constexpr int kSessionStart = 3, kHparams = 1, kStartTime = 5, kMapKey = 1, kMapValue = 2;
constexpr int kNumber = 2, kText = 3, kBool = 4;  // google.protobuf.Value
}  // namespace hparams
constexpr int kSessionStatus = 1, kSessionStarts = 1;

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

ProtoMessage event_at(std::int64_t step) {
  return ProtoMessage().float64(event::kWallTime, wall_time()).integer(event::kStep, step);
}

// An event's step, 0 where it has none; nothing for what is no event of this writer.
std::optional<std::int64_t> step_of(std::string_view event) {
  constexpr std::size_t kTime = 9;  // tag and value
  if (event.size() < kTime || event[0] != (event::kWallTime << 3 | 1)) return std::nullopt;
  if (event.size() == kTime || event[kTime] != event::kStep << 3) return 0;
  std::uint64_t step = 0;
  for (std::size_t i = 0; i < 10 && kTime + 1 + i < event.size(); ++i) {
    const auto byte = static_cast<unsigned char>(event[kTime + 1 + i]);
    step |= static_cast<std::uint64_t>(byte & 127) << (7 * i);
    if (byte < 128) return static_cast<std::int64_t>(step);
  }
  return std::nullopt;
}

// Event files of the folder in the order TensorBoard reads them: by name, which begins with the time of their making.
std::vector<std::string> event_files(const std::string& dir) {
  std::vector<std::string> names;
  std::error_code missing;  // said when the new file cannot be opened
  for (const auto& entry : fs::directory_iterator(dir, missing)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(kPrefix, 0) == 0) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Cuts the earlier files and names the next, so that it sorts after them even if the clock went back.
std::string next_file(const std::string& dir, std::int64_t last) {
  const std::vector<std::string> earlier = event_files(dir);
  auto number = static_cast<std::int64_t>(wall_time());
  for (const std::string& name : earlier) {
    cut_records(dir + "/" + name, [&](std::string_view event) {
      const auto step = step_of(event);
      return step.has_value() && *step <= last;
    });
    std::int64_t theirs = 0;
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), theirs);
    number = std::max(number, theirs + 1);
  }
  return fmt::format("{}/{}{:010}.{}.{}", dir, kPrefix, number, host_name(), getpid());
}

ProtoMessage one_value_tensor(int type) {
  const ProtoMessage shape =
      ProtoMessage().message(tensor::kDim, ProtoMessage().integer(tensor::kSize, 1));
  return ProtoMessage().integer(tensor::kType, type).message(tensor::kShape, shape);
}

ProtoMessage plugin_value(std::string_view tag, std::string_view plugin,
                          const ProtoMessage& content, const ProtoMessage& value) {
  const ProtoMessage data =
      ProtoMessage().text(summary::kPluginName, plugin).message(summary::kPluginContent, content);
  return ProtoMessage()
      .text(summary::kTag, tag)
      .message(summary::kMetadata, ProtoMessage().message(summary::kPluginData, data))
      .message(summary::kTensor, value);
}

// A setting's TOML as a hyperparameter: numbers and truth values as such, all else as text.
ProtoMessage hparam_value(const std::string& toml) {
  if (toml == "true" || toml == "false")
    return ProtoMessage().integer(hparams::kBool, toml == "true");
  double number = 0;
  const auto parsed = std::from_chars(toml.data(), toml.data() + toml.size(), number);
  if (parsed.ec == std::errc() && parsed.ptr == toml.data() + toml.size())
    return ProtoMessage().float64(hparams::kNumber, number);
  const bool quoted = toml.size() >= 2 && toml.front() == '"' && toml.back() == '"';
  return ProtoMessage().text(hparams::kText, quoted ? toml.substr(1, toml.size() - 2) : toml);
}

bool is_about_episodes(std::string_view key) {
  static constexpr std::array<std::string_view, 7> kRollout = {
      "return_mean", "length_mean", "episodes", "update", "difficulty", "success_rate", "faults"};
  return std::find(kRollout.begin(), kRollout.end(), key) != kRollout.end();
}

}  // namespace

std::string tensorboard_tag(std::string_view key) {
  constexpr std::string_view kLoss = "_loss", kSeconds = "seconds";
  const std::string name(key);
  if (is_about_episodes(key)) return "rollout/" + name;
  if (key.size() > kLoss.size() && key.substr(key.size() - kLoss.size()) == kLoss)
    return "loss/" + name.substr(0, name.size() - kLoss.size());
  if (key.size() >= kSeconds.size() && key.substr(key.size() - kSeconds.size()) == kSeconds)
    return "time/" + name;
  return "train/" + name;
}

TensorboardWriter::TensorboardWriter(const std::string& dir, std::int64_t last)
    : file_(next_file(dir, last), "the TensorBoard events"), first_step_(last) {
  const ProtoMessage version = ProtoMessage()
                                   .float64(event::kWallTime, wall_time())
                                   .text(event::kFileVersion, "brain.Event:2");
  file_.append(framed_record(version.bytes()));
  const ProtoMessage session = ProtoMessage().integer(kSessionStatus, kSessionStarts);
  file_.append(framed_record(event_at(last + 1).message(event::kSessionLog, session).bytes()));
}

void TensorboardWriter::write_config(
    const std::string& toml, const std::vector<std::pair<std::string, std::string>>& settings) {
  std::string markdown = "    ";  // an indented block is shown as it is
  for (const char c : toml) {
    markdown += c;
    if (c == '\n') markdown += "    ";
  }
  ProtoMessage start;
  for (const auto& [key, value] : settings) {
    start.message(hparams::kHparams, ProtoMessage()
                                         .text(hparams::kMapKey, key)
                                         .message(hparams::kMapValue, hparam_value(value)));
  }
  start.float64(hparams::kStartTime, wall_time());
  const ProtoMessage values =
      ProtoMessage()
          .message(summary::kValue,
                   plugin_value("config", "text", ProtoMessage(),
                                one_value_tensor(tensor::kString).text(tensor::kStrings, markdown)))
          .message(summary::kValue,
                   plugin_value("_hparams_/session_start_info", "hparams",
                                ProtoMessage().message(hparams::kSessionStart, start),
                                one_value_tensor(tensor::kFloat).float32(tensor::kFloats, 0)));
  file_.append(framed_record(event_at(first_step_).message(event::kSummary, values).bytes()));
}

void TensorboardWriter::write(const MetricsRecord& record) {
  ProtoMessage values;
  const auto scalar = [&](const std::string& tag, double value) {
    if (!std::isfinite(value)) return;
    values.message(summary::kValue, ProtoMessage()
                                        .text(summary::kTag, tag)
                                        .float32(summary::kSimpleValue, static_cast<float>(value)));
  };
  for (const MetricNumber& metric : record.numbers()) {
    if (metric.name != "step") scalar(tensorboard_tag(metric.name), metric.value);
  }
  const double step = record.number("step"), seconds = record.number("seconds");
  if (last_seconds_ >= 0)
    scalar("time/steps_per_second", (step - last_step_) / (seconds - last_seconds_));
  last_step_ = step;
  last_seconds_ = seconds;
  file_.append(framed_record(
      event_at(static_cast<std::int64_t>(step)).message(event::kSummary, values).bytes()));
}

}  // namespace rollmill
