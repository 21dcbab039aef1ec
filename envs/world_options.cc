#include "envs/world_options.h"

#include <vector>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/number_text.h"
#include "core/config/config.h"
#include "envs/batch_layout.h"

namespace rollmill {
namespace {

struct Kind {
  const char* name;
  DrawKind kind;
  std::size_t least, most;  // numbers it takes
};
constexpr Kind kKinds[] = {{"constant", DrawKind::kConstant, 1, 1},
                           {"uniform", DrawKind::kUniform, 2, 2},
                           {"log_uniform", DrawKind::kLogUniform, 2, 2},
                           {"normal", DrawKind::kNormal, 2, 2},
                           {"choice", DrawKind::kChoice, 1, kMaxDrawChoices}};
constexpr std::uint32_t kMostLevels = 1u << 24;

const Kind* find_kind(const std::string& name) {
  for (const Kind& k : kKinds) {
    if (name == k.name) return &k;
  }
  return nullptr;
}

// "" or what is wrong with a distribution's numbers.
std::string complaint(const Kind& kind, const std::vector<double>& numbers, const ParamSpec& p) {
  if (numbers.size() < kind.least || numbers.size() > kind.most) {
    return std::string(kind.name) + " takes " + std::to_string(kind.least) +
           (kind.most > kind.least ? " to " + std::to_string(kind.most) : "") + " numbers";
  }
  const std::size_t ranged = kind.kind == DrawKind::kNormal ? 1 : numbers.size();
  for (std::size_t k = 0; k < ranged; ++k) {
    if (!(numbers[k] >= p.field.low && numbers[k] <= p.field.high)) {
      return number_text(numbers[k]) + " is out of range; allowed " + number_text(p.field.low) +
             " to " + number_text(p.field.high);
    }
    const bool whole = numbers[k] == static_cast<double>(static_cast<std::int64_t>(numbers[k]));
    if (p.integer && !whole) return "whole numbers are wanted";
  }
  const bool interval = kind.kind == DrawKind::kUniform || kind.kind == DrawKind::kLogUniform;
  if (interval && numbers[0] > numbers[1]) return "the lower end comes first";
  if (kind.kind == DrawKind::kLogUniform && !(numbers[0] > 0))
    return "log_uniform needs numbers above 0";
  if (kind.kind == DrawKind::kNormal && !(numbers[1] >= 0 && numbers[1] < 1e30))
    return "a deviation must not be negative";
  return "";
}

ParamDraw make_draw(const Kind& kind, const std::vector<double>& numbers, const ParamSpec& p,
                    int index) {
  ParamDraw d;
  d.param = index;
  d.kind = kind.kind;
  d.low = static_cast<float>(p.field.low);
  d.high = static_cast<float>(p.field.high);
  d.integer = p.integer ? 1 : 0;
  if (kind.kind == DrawKind::kChoice) {
    d.count = static_cast<std::int32_t>(numbers.size());
    for (std::size_t k = 0; k < numbers.size(); ++k) d.choices[k] = static_cast<float>(numbers[k]);
    return d;
  }
  d.a = static_cast<float>(numbers[0]);
  d.b = numbers.size() > 1 ? static_cast<float>(numbers[1]) : d.a;
  return d;
}

}  // namespace

ParamDraw read_param_draw(Config& config, const std::string& key, const ParamSpec& param,
                          int index) {
  const std::vector<std::string> names = config.keys_under(key);
  const Kind* kind = names.size() == 1 ? find_kind(names[0]) : nullptr;
  if (kind == nullptr) {
    config.fail(names.size() == 1 ? key + "." + names[0] : key,
                "a parameter is a number, or one of { constant = x }, { uniform = [a, b] }, "
                "{ log_uniform = [a, b] }, { normal = [mean, deviation] }, { choice = [x, ...] }");
  }
  const std::string full = key + "." + kind->name;
  const std::vector<double> numbers = kind->kind == DrawKind::kConstant
                                          ? std::vector<double>{config.require_float(full)}
                                          : config.get_float_list(full, {});
  const std::string wrong = complaint(*kind, numbers, param);
  if (!wrong.empty()) config.fail(full, wrong);
  return make_draw(*kind, numbers, param, index);
}

void read_levels(Config& config, LevelSet& levels) {
  for (const std::string& key : config.keys_under("env.levels")) {  // before count is missed
    if (key != "count" && key != "first" && key != "seed")
      config.fail("env.levels." + key, "unknown key; allowed in [env.levels]: count, first, seed");
  }
  levels.count = static_cast<std::uint32_t>(config.require_int("env.levels.count", 1, kMostLevels));
  levels.first = static_cast<std::uint32_t>(config.get_int("env.levels.first", 0, 0, 1 << 30));
  levels.seed = static_cast<std::uint64_t>(config.get_int("env.levels.seed", 0, 0));
}

EpisodeWorld episode_world(const EnvSpec& spec, const std::vector<double>& params,
                           const World& world, std::uint64_t seed, std::uint32_t environment,
                           std::uint32_t episode) {
  EpisodeWorld w;
  for (std::size_t k = 0; k < spec.params.size(); ++k)
    w.params.push_back(
        static_cast<float>(params.empty() ? spec.params[k].default_value : params[k]));
  const HostWorld host(world);
  w.level = draw_level(host.view(), seed, environment, episode);
  const WorldKeys keys = world_keys(host.view(), seed, environment, episode, w.level);
  Rng rng(keys.seed, Purpose::kParameters, keys.environment, keys.episode, 0);
  for (const ParamDraw& d : world.draws)
    w.params[static_cast<std::size_t>(d.param)] = draw_parameter(d, rng);
  return w;
}

nlohmann::ordered_json param_draw_json(const ParamDraw& d) {
  nlohmann::ordered_json j;
  for (const Kind& k : kKinds) {
    if (k.kind != d.kind) continue;
    auto numbers = nlohmann::ordered_json::array();
    for (int c = 0; c < d.count; ++c) numbers.push_back(shortest_double(d.choices[c]));
    if (d.kind != DrawKind::kChoice) numbers = {shortest_double(d.a), shortest_double(d.b)};
    if (d.kind == DrawKind::kConstant) {
      j[k.name] = shortest_double(d.a);
    } else {
      j[k.name] = numbers;
    }
  }
  return j;
}

std::string param_draw_toml(const std::string& name, const ParamDraw& draw) {
  const nlohmann::ordered_json j = param_draw_json(draw);
  return name + " = { " + j.begin().key() + " = " + j.begin().value().dump() + " }\n";
}

nlohmann::ordered_json levels_json(const LevelSet& levels) {
  return {{"first", levels.first}, {"count", levels.count}, {"seed", levels.seed}};
}

ParamDraw parse_param_draw(const nlohmann::json& j, const ParamSpec& param, int index,
                           const std::string& where) {
  const std::string name = where + ": environment parameter '" + param.field.name + "'";
  const Kind* kind = j.size() == 1 ? find_kind(j.begin().key()) : nullptr;
  if (kind == nullptr) fail_data(name + " is drawn in a way that this program does not know");
  std::vector<double> numbers;
  const auto add = [&](const nlohmann::json& v) {
    if (!v.is_number()) fail_data(name + ": numbers are wanted");
    numbers.push_back(v.get<double>());
  };
  const nlohmann::json& value = j.begin().value();
  if (value.is_array()) {
    for (const auto& v : value) add(v);
  } else {
    add(value);
  }
  const std::string wrong = complaint(*kind, numbers, param);
  if (!wrong.empty()) fail_data(name + ": " + wrong);
  return make_draw(*kind, numbers, param, index);
}

LevelSet parse_levels(const nlohmann::json& j, const std::string& where) {
  const auto number = [&](const char* name, std::uint64_t high) {
    const auto it = j.find(name);
    if (it == j.end() || !it->is_number_unsigned() || it->get<std::uint64_t>() > high)
      fail_data(where + ": levels." + name + " is missing or out of its range");
    return it->get<std::uint64_t>();
  };
  if (!j.is_object() || j.size() != 3) fail_data(where + ": levels are {first, count, seed}");
  LevelSet levels;
  levels.first = static_cast<std::uint32_t>(number("first", 1u << 30));
  levels.count = static_cast<std::uint32_t>(number("count", kMostLevels));
  levels.seed = number("seed", ~std::uint64_t{0});
  return levels;
}

}  // namespace rollmill
