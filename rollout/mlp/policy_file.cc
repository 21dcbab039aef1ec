#include "rollout/mlp/policy_file.h"

#include <charconv>
#include <cstring>
#include <span>

#include "core/base/error.h"
#include "core/io/safetensors.h"

namespace rollmill {
namespace {

constexpr const char* kFormat = "rollmill-policy-1";

// Rows of the file are outputs; columns of our storage are outputs padded to 16.
Tensor weight_tensor(const std::string& name, const DenseLayer& layer, const float* params) {
  std::vector<float> w(static_cast<std::size_t>(layer.inputs) * layer.outputs);
  for (int o = 0; o < layer.outputs; ++o) {
    for (int i = 0; i < layer.inputs; ++i) {
      w[static_cast<std::size_t>(o) * layer.inputs + i] =
          params[layer.weight + static_cast<std::int64_t>(i) * layer.width + o];
    }
  }
  return make_tensor<float>(name, {layer.outputs, layer.inputs}, w);
}

void add_net(TensorFile& file, const std::string& name, const std::vector<DenseLayer>& net,
             const float* params) {
  for (std::size_t l = 0; l < net.size(); ++l) {
    const std::string prefix = name + "." + std::to_string(l);
    file.tensors.push_back(weight_tensor(prefix + ".weight", net[l], params));
    file.tensors.push_back(make_tensor<float>(
        prefix + ".bias", {net[l].outputs},
        std::span(params + net[l].bias, static_cast<std::size_t>(net[l].outputs))));
  }
}

void read_net(const TensorFile& file, const std::string& name, const std::vector<DenseLayer>& net,
              float* params, const std::string& path) {
  for (std::size_t l = 0; l < net.size(); ++l) {
    const std::string prefix = name + "." + std::to_string(l);
    const DenseLayer& layer = net[l];
    const Tensor& w =
        file.expect(prefix + ".weight", DType::kF32, {layer.outputs, layer.inputs}, path);
    const auto* values = reinterpret_cast<const float*>(w.bytes.data());
    for (int o = 0; o < layer.outputs; ++o) {
      for (int i = 0; i < layer.inputs; ++i) {
        params[layer.weight + static_cast<std::int64_t>(i) * layer.width + o] =
            values[static_cast<std::size_t>(o) * layer.inputs + i];
      }
    }
    const Tensor& b = file.expect(prefix + ".bias", DType::kF32, {layer.outputs}, path);
    std::memcpy(params + layer.bias, b.bytes.data(), b.bytes.size());
  }
}

std::string metadata(const TensorFile& file, const std::string& key, const std::string& path) {
  const auto it = file.metadata.find(key);
  if (it == file.metadata.end()) {
    fail_data(path + ": not a policy of this program (its header has no '" + key + "')");
  }
  return it->second;
}

int number(const std::string& text, int low, int high, const std::string& what,
           const std::string& path) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    fail_data(path + ": header value '" + what + "' = '" + text + "' is not a number from " +
              std::to_string(low) + " to " + std::to_string(high));
  }
  return value;
}

std::vector<int> number_list(const std::string& text, const std::string& path) {
  std::vector<int> values;
  std::size_t at = 0;
  while (at <= text.size() && !text.empty()) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    values.push_back(number(text.substr(at, comma - at), 1, 4096, "hidden", path));
    at = comma + 1;
    if (values.size() > 16) fail_data(path + ": more than 16 hidden layers");
  }
  return values;
}

// Before anything is allocated: a header may claim any shape.
void check_size(const TensorFile& file, const PolicyShape& shape, const std::string& path) {
  std::uint64_t bytes = 0, wanted = 0;
  for (const Tensor& t : file.tensors) bytes += t.bytes.size();
  auto inputs = static_cast<std::uint64_t>(shape.observations);
  for (int h : shape.hidden) {
    wanted += (inputs + 1) * static_cast<std::uint64_t>(h) * 2 * sizeof(float);
    inputs = static_cast<std::uint64_t>(h);
  }
  wanted += (inputs + 1) * (static_cast<std::uint64_t>(shape.outputs) + 1) * sizeof(float);
  // A tensor that is missing is named later; this is about what could not be allocated.
  if (wanted > (std::uint64_t{64} << 20) && wanted > bytes) {
    fail_data(path + ": its header describes a larger network than its tensors hold");
  }
}

}  // namespace

void save_policy(const std::string& path, const std::string& env_id, const std::string& env_params,
                 const PolicyWeights& weights) {
  const MlpLayout& layout = weights.layout;
  TensorFile file;
  std::string hidden;
  for (int h : layout.shape.hidden) hidden += (hidden.empty() ? "" : ",") + std::to_string(h);
  file.metadata = {
      {"format", kFormat},
      {"env_id", env_id},
      {"env_params", env_params},
      {"observations", std::to_string(layout.shape.observations)},
      {"outputs", std::to_string(layout.shape.outputs)},
      {"actions", layout.shape.discrete ? "discrete" : "continuous"},
      {"hidden", hidden},
      {"activation", "tanh"},
      {"normalize_observations", weights.normalizer.enabled() ? "1" : "0"},
      {"clip_observations", std::to_string(static_cast<int>(weights.normalizer.clip()))}};
  add_net(file, "actor", layout.actor, weights.params.data());
  add_net(file, "critic", layout.critic, weights.params.data());
  if (!layout.shape.discrete) {
    file.tensors.push_back(
        make_tensor<float>("log_std", {layout.shape.outputs},
                           std::span(weights.params.data() + layout.log_std,
                                     static_cast<std::size_t>(layout.shape.outputs))));
  }
  if (weights.normalizer.enabled()) {
    std::vector<double> mean, m2, count;
    for (const Moments& m : weights.normalizer.moments()) {
      mean.push_back(m.mean);
      m2.push_back(m.m2);
      count.push_back(m.count);
    }
    const auto n = static_cast<std::int64_t>(mean.size());
    file.tensors.push_back(make_tensor<double>("normalizer.mean", {n}, mean));
    file.tensors.push_back(make_tensor<double>("normalizer.m2", {n}, m2));
    file.tensors.push_back(make_tensor<double>("normalizer.count", {n}, count));
  }
  write_safetensors(path, file);
}

PolicyFile load_policy(const std::string& path) {
  const TensorFile file = read_safetensors(path, std::uint64_t{1} << 30);
  if (metadata(file, "format", path) != kFormat) {
    fail_data(path + ": policy format '" + metadata(file, "format", path) + "' is not " + kFormat +
              "; a newer rollmill wrote it?");
  }
  check_finite(file, path);
  PolicyShape shape;
  shape.observations =
      number(metadata(file, "observations", path), 1, 1 << 20, "observations", path);
  shape.outputs = number(metadata(file, "outputs", path), 1, 1 << 16, "outputs", path);
  const std::string actions = metadata(file, "actions", path);
  if (actions != "discrete" && actions != "continuous")
    fail_data(path + ": unknown kind of actions '" + actions + "'");
  shape.discrete = actions == "discrete";
  if (metadata(file, "activation", path) != "tanh") {
    fail_data(path + ": activation '" + metadata(file, "activation", path) +
              "' is not one this program has (tanh)");
  }
  shape.hidden = number_list(metadata(file, "hidden", path), path);
  check_size(file, shape, path);
  PolicyFile policy;
  policy.env_id = metadata(file, "env_id", path);
  policy.env_params = metadata(file, "env_params", path);
  policy.weights = std::make_unique<PolicyWeights>(shape);
  PolicyWeights& w = *policy.weights;
  read_net(file, "actor", w.layout.actor, w.params.data(), path);
  read_net(file, "critic", w.layout.critic, w.params.data(), path);
  if (!shape.discrete) {
    const Tensor& t = file.expect("log_std", DType::kF32, {shape.outputs}, path);
    std::memcpy(w.params.data() + w.layout.log_std, t.bytes.data(), t.bytes.size());
  }
  const bool normalize = metadata(file, "normalize_observations", path) == "1";
  const int clip =
      number(metadata(file, "clip_observations", path), 1, 1 << 20, "clip_observations", path);
  w.normalizer = ObservationNormalizer(shape.observations, normalize, static_cast<float>(clip));
  if (normalize) {
    std::vector<Moments> moments(static_cast<std::size_t>(shape.observations));
    const auto read = [&](const char* name, double Moments::*field) {
      const Tensor& t = file.expect(name, DType::kF64, {shape.observations}, path);
      const auto* values = reinterpret_cast<const double*>(t.bytes.data());
      for (std::size_t k = 0; k < moments.size(); ++k) moments[k].*field = values[k];
    };
    read("normalizer.mean", &Moments::mean);
    read("normalizer.m2", &Moments::m2);
    read("normalizer.count", &Moments::count);
    for (const Moments& m : moments) {
      if (m.count < 0 || m.m2 < 0)
        fail_data(path + ": its normaliser has a negative count or variance");
    }
    w.normalizer.set_moments(std::move(moments));
  }
  return policy;
}

void check_policy_fits(const PolicyFile& policy, const EnvSpec& spec, const std::string& path) {
  const PolicyShape& have = policy.weights->layout.shape;
  const PolicyShape want = shape_for(spec, have.hidden);
  if (policy.env_id == spec.id && have == want) return;
  const auto text = [](const PolicyShape& s) {
    return std::to_string(s.observations) + " observations, " + std::to_string(s.outputs) +
           (s.discrete ? " choices" : " continuous actions");
  };
  fail_data(path + ": this policy is for " + policy.env_id + " (" + text(have) + "), not for " +
            spec.id + " (" + text(want) + ")");
}

}  // namespace rollmill
