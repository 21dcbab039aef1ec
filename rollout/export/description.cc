#include "rollout/export/description.h"

#include <nlohmann/json.hpp>

#include "core/base/build_info.h"
#include "core/io/strict_json.h"

namespace rollmill {
namespace {

using Json = nlohmann::ordered_json;

Json field(const FieldSpec& f) {
  Json j;
  j["name"] = f.name;
  j["unit"] = f.unit;
  if (!f.note.empty()) j["note"] = f.note;
  return j;
}

Json with_bounds(const FieldSpec& f) {
  Json j = field(f);
  j["low"] = f.low;
  j["high"] = f.high;
  return j;
}

Json tensor(const GraphValue& v) {
  Json j;
  j["name"] = v.name;
  j["dtype"] = v.integer ? "int64" : "float32";
  j["shape"] = {v.constant ? Json(1) : Json("batch"), Json(v.width)};
  j["meaning"] = v.meaning;
  return j;
}

const char* encoding(ObservationKind kind) {
  switch (kind) {
    case ObservationKind::kReal:
      return "real numbers as the environment gives them; the policy normalises them itself";
    case ObservationKind::kChoices: return "each choice one-hot, one after another";
    case ObservationKind::kBits: return "0 or 1, element (c * height + y) * width + x";
    case ObservationKind::kPixels: return "byte / 255, element (c * height + y) * width + x";
  }
  return "";
}

// What stands for one element of a frame from before the episode: 0 once it is normalised.
Json before_episode(const PolicyWeights& w) {
  const auto n = static_cast<std::size_t>(w.layout.shape.observed.elements);
  if (!w.normalizer.enabled()) return std::vector<float>(n, 0.0f);
  return std::vector<float>(w.normalizer.shift(), w.normalizer.shift() + n);
}

Json observation(const EnvSpec& spec, const PolicyWeights& w,
                 const std::vector<std::string>& ignored) {
  const PolicyShape& shape = w.layout.shape;
  Json j;
  j["kind"] = observation_kind_name(shape.observed.kind);
  j["encoding"] = encoding(shape.observed.kind);
  j["frame_shape"] = shape.observed.shape;
  j["frame_elements"] = shape.observed.elements;
  if (!shape.observed.choices.empty()) j["choices"] = shape.observed.choices;
  j["frame_stack"] = shape.frame_stack;
  if (shape.frame_stack > 1) {
    j["frame_order"] = "oldest first, each frame whole";
    j["before_episode"] = before_episode(w);
  }
  j["fields"] = Json::array();
  const bool bounded = shape.observed.kind == ObservationKind::kReal;
  for (const FieldSpec& f : spec.observation)
    j["fields"].push_back(bounded ? with_bounds(f) : field(f));
  j["actor_ignores"] = ignored;
  return j;
}

Json normaliser(const ObservationNormalizer& n, int elements) {
  if (!n.enabled()) return nullptr;
  Json j;
  j["formula"] = "clamp((x - shift) * scale, -clip, clip), each frame alike";
  j["shift"] = std::vector<float>(n.shift(), n.shift() + elements);
  j["scale"] = std::vector<float>(n.scale(), n.scale() + elements);
  j["clip"] = n.clip();
  return j;
}

Json action(const EnvSpec& spec, const PolicyShape& shape) {
  Json j;
  j["kind"] = action_kind(shape);
  j["masked"] = spec.mask_columns > 0;
  j["choices"] = Json::array();
  for (std::size_t c = 0; c < shape.choices.size(); ++c) {
    Json column = field(spec.action[c]);
    column["count"] = shape.choices[c];
    j["choices"].push_back(column);
  }
  j["real_actions"] = Json::array();
  for (std::size_t a = shape.choices.size(); a < spec.action.size(); ++a)
    j["real_actions"].push_back(with_bounds(spec.action[a]));
  if (shape.reals > 0) {
    const bool gaussian = shape.distribution == RealDistribution::kGaussian;
    j["distribution"] = distribution_name(shape.distribution);
    j["scaling"] = "clamp((low + high) / 2 + (high - low) / 2 * x, low, high)";
    const bool beta = shape.distribution == RealDistribution::kBeta;
    j["greedy_x"] = gaussian ? "mean" : beta ? "(alpha - beta) / (alpha + beta)" : "tanh(mean)";
  }
  return j;
}

}  // namespace

std::string policy_description(const EnvSpec& spec, const PolicyFile& policy,
                               const PolicyGraph& graph, const std::vector<std::string>& ignored) {
  const PolicyWeights& w = *policy.weights;
  const PolicyShape& shape = w.layout.shape;
  Json j;
  j["format"] = kExportFormat;
  j["build"] = build_info();
  j["name"] = graph.name;
  j["environment"] = policy.env_id;
  j["environment_params"] = parse_json_strict(policy.env_params, "env_params", 8);
  j["inputs"] = Json::array();
  for (const int i : graph.inputs) j["inputs"].push_back(tensor(graph.value(i)));
  j["outputs"] = Json::array();
  for (const GraphOutput& o : graph.outputs) j["outputs"].push_back(tensor(graph.value(o.value)));
  j["observation"] = observation(spec, w, ignored);
  j["normaliser"] = normaliser(w.normalizer, shape.observed.elements);
  Json conv = Json::array();
  for (const ConvShape& c : shape.conv)
    conv.push_back({{"channels", c.channels}, {"kernel", c.kernel}, {"stride", c.stride}});
  j["network"] = {{"conv", conv},
                  {"hidden", shape.hidden},
                  {"activation", activation_name(shape.activation)},
                  {"trunk", trunk_name(shape.trunk)},
                  {"memory", memory_name(shape.memory)},
                  {"memory_size", shape.memory_size},
                  {"parameters", w.layout.parameter_count()}};
  j["action"] = action(spec, shape);
  return j.dump(2) + "\n";
}

}  // namespace rollmill
