#include "cli/describe_env.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

namespace rollmill {
namespace {

std::string number(double v) {
  return v >= 3e38 ? "inf" : v <= -3e38 ? "-inf" : fmt::format("{:.7g}", v);
}

// "2, 3, 3"; a long list is cut: "2, 3, 3, ... 6".
std::string joined(const std::vector<int>& numbers) {
  std::string text;
  for (std::size_t k = 0; k < numbers.size(); ++k) {
    const bool cut = numbers.size() > 5 && k >= 3 && k + 1 < numbers.size();
    if (cut && k > 3) continue;
    if (k > 0) text += text.ends_with("...") ? " " : ", ";
    text += cut ? "..." : std::to_string(numbers[k]);
  }
  return text;
}

const char* element_text(const EnvSpec& s) {
  switch (s.observed.kind) {
    case ObservationKind::kReal: return "float32";
    case ObservationKind::kChoices: return "int32";
    case ObservationKind::kBits: return "bool, 32 a word";
    case ObservationKind::kPixels: return "uint8";
  }
  return "?";
}

const char* expert_text(const EnvSpec& s) {
  switch (s.expert) {
    case ExpertKind::kNone: return "no";
    case ExpertKind::kObservation: return "yes, sees the observation";
    case ExpertKind::kState: return "yes, sees the whole state";
  }
  return "?";
}

std::string field_line(const FieldSpec& f, const std::string& extra) {
  return fmt::format("  {:<25} {:<7} [{}, {}]{}{}\n", f.name, f.unit, number(f.low), number(f.high),
                     extra, f.note.empty() ? "" : "  " + f.note);
}

std::vector<std::string> views_of(const EnvEntry& entry) {
  std::vector<std::string> views;
  if (entry.render != nullptr) views.emplace_back("picture");
  if (entry.text != nullptr) views.emplace_back("characters");
  return views;
}

std::string views_text(const EnvEntry& entry, const EnvSpec& s) {
  std::string text;
  for (const std::string& view : views_of(entry)) text += (text.empty() ? "" : ", ") + view;
  if (text.empty()) text = "none";
  return text + (s.keys.empty() ? "" : "; keys of `rollmill play`: " + s.keys);
}

}  // namespace

std::string action_text(const EnvSpec& s) {
  std::string choices = s.choices.size() == 1 ? fmt::format("Discrete({})", s.choices[0])
                                              : fmt::format("MultiDiscrete({})", joined(s.choices));
  std::string reals = fmt::format("Box({})", s.real_actions());
  return s.choices.empty() ? reals : s.real_actions() == 0 ? choices : choices + " + " + reals;
}

std::string observation_text(const EnvSpec& s) {
  const ObservationSpec& o = s.observed;
  switch (o.kind) {
    case ObservationKind::kReal: return fmt::format("Box({})", o.elements);
    case ObservationKind::kChoices:
      return o.choices.size() == 1 ? fmt::format("Discrete({})", o.choices[0])
                                   : fmt::format("MultiDiscrete({})", joined(o.choices));
    case ObservationKind::kBits: return fmt::format("Planes({})", joined(o.shape));
    case ObservationKind::kPixels: return fmt::format("Pixels({})", joined(o.shape));
  }
  return "?";
}

std::string describe_text(const EnvEntry& entry, const EnvSpec& s) {
  std::string t = fmt::format("{}\n  {}\n\n", s.id, s.summary);
  t += fmt::format(
      "time limit    {} steps\nreward        [{}, {}] a step\nsolved at     mean return {}\nexpert "
      "       {}\n",
      s.time_limit, number(s.reward_low), number(s.reward_high), number(s.solved_at),
      expert_text(s));
  t += "views         " + views_text(entry, s) + "\n";
  if (!s.measures.empty()) t += "measures      " + s.measures + "\n";
  t += fmt::format("references    {}\n\nobservation   {} {}\n", s.references, observation_text(s),
                   element_text(s));
  for (const FieldSpec& f : s.observation) t += field_line(f, "");
  t += fmt::format("\naction        {}{}\n", action_text(s), s.mask_columns > 0 ? ", masked" : "");
  for (const FieldSpec& f : s.action) t += field_line(f, "");
  t += "\nends\n";
  for (const std::string& o : s.outcomes)
    t += "  " + o + (o == "time_limit" ? "  (truncation)\n" : "  (termination)\n");
  t += "\nparameters    set with [env.params] or --set env.params.NAME=VALUE\n";
  for (const ParamSpec& p : s.params)
    t += field_line(p.field, fmt::format("  default {}", number(p.default_value)));
  return t;
}

nlohmann::ordered_json describe_json(const EnvEntry& entry, const EnvSpec& s) {
  const auto fields = [](const std::vector<FieldSpec>& list) {
    auto a = nlohmann::ordered_json::array();
    for (const FieldSpec& f : list) {
      a.push_back(
          {{"name", f.name}, {"unit", f.unit}, {"low", f.low}, {"high", f.high}, {"note", f.note}});
    }
    return a;
  };
  nlohmann::ordered_json j;
  j["id"] = s.id;
  j["summary"] = s.summary;
  j["references"] = s.references;
  j["time_limit"] = s.time_limit;
  j["reward_range"] = {s.reward_low, s.reward_high};
  j["solved_at"] = s.solved_at;
  j["measures"] = s.measures;
  j["expert"] = s.expert != ExpertKind::kNone;
  j["views"] = views_of(entry);
  j["keys"] = s.keys;
  j["observation_space"] = observation_text(s);
  j["observation_shape"] = s.observed.shape;
  j["observation"] = fields(s.observation);
  j["action_space"] = action_text(s);
  j["action"] = fields(s.action);
  j["choices"] = s.choices;
  j["action_mask"] = s.mask_columns > 0;
  j["outcomes"] = s.outcomes;
  j["params"] = nlohmann::ordered_json::array();
  for (const ParamSpec& p : s.params) {
    j["params"].push_back({{"name", p.field.name},
                           {"unit", p.field.unit},
                           {"default", p.default_value},
                           {"low", p.field.low},
                           {"high", p.field.high},
                           {"note", p.field.note}});
  }
  return j;
}

}  // namespace rollmill
