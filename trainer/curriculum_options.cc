#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/config/config.h"
#include "envs/env_options.h"
#include "envs/registry.h"
#include "trainer/curriculum.h"

namespace rollmill {
namespace {

void read_params(Config& c, const EnvOptions& env, const EnvSpec& spec, CurriculumOptions& o) {
  for (std::size_t k = 0; k < spec.params.size(); ++k) {
    const ParamSpec& p = spec.params[k];
    const std::string key = "curriculum.params." + p.field.name;
    // (Asked for also where it is not given: known, so that a misspelt one is named with its nearest. Empty: as a resolved
    // config has it.)
    const auto ends = c.get_float_list(key, {}, p.field.low, p.field.high, 0, 2);
    if (ends.empty()) continue;
    if (ends.size() != 2) c.fail(key, "takes two numbers, [easy, hard]");
    for (const double end : ends) {
      if (p.integer && end != std::floor(end)) c.fail(key, "whole numbers are wanted");
    }
    for (const ParamDraw& d : env.world.draws) {
      if (d.param == static_cast<int>(k))
        c.fail(key, "is drawn by env.params." + p.field.name + " already; choose one of the two");
    }
    o.params.push_back({static_cast<int>(k), ends[0], ends[1]});
    if (c.has("env.params." + p.field.name)) o.fixed_too.push_back("env.params." + p.field.name);
  }
  if (o.params.empty()) {
    for (const std::string& name : c.keys_under("curriculum.params")) {
      const bool known = std::any_of(spec.params.begin(), spec.params.end(),
                                     [&](const ParamSpec& p) { return p.field.name == name; });
      if (!known)
        c.fail("curriculum.params." + name, spec.id + " has no such parameter");
    }
    std::string names;
    for (const int k : spec.difficulty)
      names += (names.empty() ? "" : ", ") + spec.params[static_cast<std::size_t>(k)].field.name;
    c.fail("curriculum.kind",
           "needs [curriculum.params] NAME = [easy, hard]" +
               (names.empty() ? "" : "; " + spec.id + " gets harder with " + names));
  }
}

}  // namespace

CurriculumOptions read_curriculum(Config& c, const EnvOptions& env) {
  CurriculumOptions o;
  if (!c.has("curriculum")) return o;
  const EnvSpec spec = find_env(env.id).spec();
  const std::string kind =
      c.require_choice("curriculum.kind", {"none", "schedule", "success", "replay"});
  if (kind == "none") {  // what else [curriculum] says waits for another day
    c.ignore("curriculum");
    return o;
  }
  if (kind == "replay") {
    o.kind = CurriculumKind::kReplay;
    if (!c.keys_under("curriculum.params").empty())
      c.fail("curriculum.params", "is for the kinds \"schedule\" and \"success\"; leave it out");
    if (env.world.levels.count == 0)
      c.fail("curriculum.kind", "\"replay\" chooses among levels; it needs [env.levels] count");
    const std::string score =
        c.get_choice("curriculum.score", "learnability", {"learnability", "value_error"});
    o.score = score == "learnability" ? LevelScore::kLearnability : LevelScore::kValueError;
    if (o.score == LevelScore::kValueError && env.device.starts_with("cuda"))
      c.fail("curriculum.score",
             "\"value_error\" is computed on the CPU only; use \"learnability\"");
    o.temperature = c.get_float("curriculum.temperature", o.temperature, 0.01, 100);
    o.staleness = c.get_float("curriculum.staleness", o.staleness, 0, 1);
    return o;
  }
  read_params(c, env, spec, o);
  o.spread = c.get_bool("curriculum.spread", o.spread);
  if (kind == "schedule") {
    o.kind = CurriculumKind::kSchedule;
    o.over_steps = c.require_int("curriculum.over_steps", 1);
    return o;
  }
  o.kind = CurriculumKind::kSuccess;
  const auto band = c.get_float_list("curriculum.band", {o.band_low, o.band_high}, 0, 1, 2, 2);
  if (!(band[0] < band[1])) c.fail("curriculum.band", "the lower end comes first");
  o.band_low = band[0];
  o.band_high = band[1];
  o.step = c.get_float("curriculum.step", o.step, 1e-6, 1);
  o.window = static_cast<int>(c.get_int("curriculum.window", o.window, 1, 1 << 24));
  return o;
}

}  // namespace rollmill
