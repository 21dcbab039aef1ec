#include "trainer/ignored_inputs.h"

#include <algorithm>

#include "core/base/assert.h"

namespace rollmill {

ElementRange elements_of_field(const EnvSpec& spec, int field) {
  const ObservationSpec& o = spec.observed;
  if (o.kind == ObservationKind::kReal) return {field, field + 1};
  if (o.kind == ObservationKind::kChoices) {
    int begin = 0;
    for (int c = 0; c < field; ++c) begin += o.choices[static_cast<std::size_t>(c)];
    return {begin, begin + o.choices[static_cast<std::size_t>(field)]};
  }
  const int plane = o.elements / o.shape[0];
  return {field * plane, (field + 1) * plane};
}

int find_observation_field(const EnvSpec& spec, const std::string& name) {
  for (std::size_t f = 0; f < spec.observation.size(); ++f) {
    if (spec.observation[f].name == name) return static_cast<int>(f);
  }
  return -1;
}

std::vector<ParamRange> actor_weights_of(const std::vector<std::string>& fields,
                                         const EnvSpec& spec, const MlpLayout& layout) {
  std::vector<ParamRange> ranges;
  const Network& net = layout.actor;
  for (const std::string& name : fields) {
    const int field = find_observation_field(spec, name);
    RM_ASSERT(field >= 0);
    const ElementRange elements = elements_of_field(spec, field);
    for (int frame = 0; frame < layout.shape.frame_stack; ++frame) {
      if (!net.conv.empty()) {
        const ConvLayer& first = net.conv.front();
        const int channel = frame * spec.observed.shape[0] + field;
        const std::int64_t size = std::int64_t{first.kernel} * first.kernel * first.channels;
        ranges.push_back({first.weight + channel * size, first.weight + (channel + 1) * size});
        continue;
      }
      const DenseLayer& first = net.dense.front();
      const std::int64_t offset = std::int64_t{frame} * spec.observed.elements;
      ranges.push_back({first.weight + (offset + elements.begin) * first.width,
                        first.weight + (offset + elements.end) * first.width});
    }
  }
  return ranges;
}

std::vector<std::string> ignored_fields(const EnvSpec& spec, const MlpLayout& layout,
                                        const float* params) {
  std::vector<std::string> names;
  for (const FieldSpec& f : spec.observation) {
    const auto ranges = actor_weights_of({f.name}, spec, layout);
    const bool ignored = std::all_of(ranges.begin(), ranges.end(), [&](const ParamRange& r) {
      return std::all_of(params + r.begin, params + r.end, [](float w) { return w == 0.0f; });
    });
    if (ignored) names.push_back(f.name);
  }
  return names;
}

void set_to_zero(const std::vector<ParamRange>& ranges, float* params) {
  for (const ParamRange& r : ranges) std::fill(params + r.begin, params + r.end, 0.0f);
}

}  // namespace rollmill
