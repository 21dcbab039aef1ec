#include "trainer/imitation/sources.h"

#include "core/base/as_error.h"
#include "datasets/manifest.h"
#include "envs/registry.h"
#include "trainer/imitation/demonstrations.h"
#include "trainer/imitation/initial_policy.h"
#include "trainer/imitation/teacher.h"
#include "trainer/train_options.h"

namespace rollmill {

std::vector<std::string> unready_sources(const TrainOptions& o) {
  std::vector<std::string> lines;
  const auto look = [&](const char* key, const std::string& named, auto&& check) {
    if (named.empty()) return;
    try {
      check(named);
    } catch (const std::exception& error) {
      const std::string text = as_error(error).what();  // that may begin with its key
      lines.push_back(text.starts_with(key) ? text : std::string(key) + ": " + text);
    }
  };
  const EnvSpec& spec = find_env(o.env.id).spec();
  const PolicyShape shape = shape_for(spec, o.policy);
  const auto dataset = [&](const std::string& dir) {
    check_demonstrations(dir, read_manifest(dir), spec);
  };
  look("bc.dataset", o.bc.dataset, dataset);
  look("init.dataset", o.init.dataset, dataset);
  look("distill.teacher", o.distill.teacher,
       [&](const std::string& path) { load_teacher(path, spec, shape); });
  look("init.policy", o.init.policy, [&](const std::string& path) {
    PolicyWeights weights(shape);
    weights.normalizer = ObservationNormalizer(spec.observed.elements, o.normalize_observations,
                                               o.clip_observations);
    start_from("init.policy", path, weights);
  });
  return lines;
}

}  // namespace rollmill
