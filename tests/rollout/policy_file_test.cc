// policy.safetensors: what was saved comes back bit for bit; anything else is refused in one line. (check_policy.py
// reads the same file without any of our code.)
#include "rollout/mlp/policy_file.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstring>

#include "core/io/atomic_file.h"
#include "core/io/safetensors.h"
#include "tests/core/io/temp_dir.h"
#include "tests/rollout/acting.h"
#include "tests/support/counter_env.h"
#include "tests/support/shapes.h"

namespace rollmill {
namespace {

using testing::exit_code_of;
using testing::TempDir;

TEST(PolicyFile, RoundTripIsExact) {
  const TempDir dir;
  for (bool discrete : {true, false}) {
    for (bool normalize : {true, false}) {
      const EnvSpec spec = testing::act_spec(discrete);
      PolicyWeights weights(shape_for(spec, {7, 20}));
      testing::rough_weights(weights, normalize);
      const std::string path = dir / "policy.safetensors";
      save_policy(path, spec.id, "{\"gravity\":20.0}", weights);
      const PolicyFile file = load_policy(path);
      EXPECT_EQ(file.env_id, spec.id);
      EXPECT_EQ(file.env_params, "{\"gravity\":20.0}");
      EXPECT_EQ(file.weights->layout.shape, weights.layout.shape);
      EXPECT_EQ(file.weights->params, weights.params);
      EXPECT_EQ(file.weights->normalizer.enabled(), normalize);
      EXPECT_EQ(file.weights->normalizer.clip(), 2.0f);
      for (std::size_t k = 0; normalize && k < 5; ++k) {
        const Moments &a = file.weights->normalizer.moments()[k],
                      &b = weights.normalizer.moments()[k];
        EXPECT_TRUE(a.count == b.count && a.mean == b.mean && a.m2 == b.m2);
      }
      EXPECT_EQ(MlpPolicy(spec, *file.weights, 1, false).hash(),
                MlpPolicy(spec, weights, 1, false).hash());
      check_policy_fits(file, spec, path);
      EnvSpec other = spec;
      other.id = "Other-v0";
      std::string message;
      EXPECT_EQ(exit_code_of([&] { check_policy_fits(file, other, path); }, &message), 3);
      EXPECT_NE(message.find("Other-v0"), std::string::npos);
      other = spec;
      other.observed = testing::reals(6);
      EXPECT_EQ(exit_code_of([&] { check_policy_fits(file, other, path); }), 3);
    }
  }
}

// Other spaces have a format of their own, with everything that the shape needs.
TEST(PolicyFile, EverySpaceAndStackComesBack) {
  const TempDir dir;
  const std::string path = dir / "policy.safetensors";
  testing::for_each_space([&](const char* name, auto env) {
    SCOPED_TRACE(name);
    const EnvSpec spec = describe<decltype(env)>();
    for (int stack : {1, 3}) {
      PolicyWeights weights(shape_for(spec, {7, 20}, stack));
      testing::rough_weights(weights, spec.observed.kind == ObservationKind::kReal);
      save_policy(path, spec.id, "{}", weights);
      EXPECT_EQ(read_safetensors(path).metadata.at("format"), "rollmill-policy-2");
      const PolicyFile file = load_policy(path);
      EXPECT_EQ(file.weights->layout.shape, weights.layout.shape);
      EXPECT_EQ(file.weights->params, weights.params);
      EXPECT_EQ(file.weights->normalizer.enabled(), weights.normalizer.enabled());
      check_policy_fits(file, spec, path);
      EnvSpec other = spec;
      other.observed.shape.back() += 1;
      EXPECT_EQ(exit_code_of([&] { check_policy_fits(file, other, path); }), 3);
      other = spec;
      if (!other.choices.empty()) ++other.choices[0];
      other.action.emplace_back();
      EXPECT_EQ(exit_code_of([&] { check_policy_fits(file, other, path); }), 3);
    }
  });
}

TEST(PolicyFile, NonsenseInTheWiderHeaderIsRefused) {
  const TempDir dir;
  const std::string path = dir / "policy.safetensors";
  const EnvSpec spec = describe<testing::ChoicesEnv>();
  PolicyWeights weights(shape_for(spec, {7}, 2));
  testing::rough_weights(weights, false);
  save_policy(path, spec.id, "{}", weights);
  const TensorFile good = read_safetensors(path);
  const std::pair<const char*, const char*> wrong[] = {
      {"choices", ""},
      {"choices", "30,8"},
      {"choices", "30"},
      {"choices", "30,-7"},
      {"reals", "1"},
      {"reals", "-1"},
      {"frame_stack", "0"},
      {"frame_stack", "65"},
      {"frame_stack", "3"},
      {"observation_kind", "bit"},
      {"observation_kind", ""},
      {"observation_kind", "bits"},
      {"observation_shape", ""},
      {"observation_shape", "3,1"},
      {"observation_choices", "3,5"},
      {"observation_choices", "3,5,41"},
      {"observation_shape", "1048576,1048576,1048576"},
      {"observation_choices", "1048576,1048576,1048576"},
      {"observations", "48"},
      {"outputs", "38"},
      {"normalize_observations", "1"}};
  for (const auto& [key, value] : wrong) {
    TensorFile file = good;
    file.metadata[key] = value;
    write_safetensors(path, file);
    EXPECT_EQ(exit_code_of([&] { load_policy(path); }), 3) << key << " = " << value;
  }
  for (const auto& [key, value] : good.metadata) {
    TensorFile file = good;
    file.metadata.erase(key);
    write_safetensors(path, file);
    EXPECT_EQ(exit_code_of([&] { load_policy(path); }), 3) << key;
  }
  write_safetensors(path, good);
  EXPECT_EQ(exit_code_of([&] { load_policy(path); }), 0);
}

PolicyChoices recurrent() {
  return {.hidden = {7},
          .frame_stack = 2,
          .activation = Activation::kRelu,
          .trunk = Trunk::kShared,
          .memory = MemoryKind::kGru,
          .memory_size = 5,
          .conv = {{16, 2, 1}, {32, 2, 2}}};
}

TEST(PolicyFile, EveryKindOfNetworkComesBack) {
  const TempDir dir;
  const std::string path = dir / "policy.safetensors";
  PolicyChoices plain = recurrent(), squashed;
  plain.memory = MemoryKind::kMinGru;
  plain.trunk = Trunk::kSeparate;
  squashed.trunk = Trunk::kActorOnly;
  const auto expect_back = [&](const EnvSpec& spec, PolicyChoices choices) {
    for (const auto d : {RealDistribution::kSquashed, RealDistribution::kDeterministic,
                         RealDistribution::kBeta}) {
      choices.distribution = d;
      PolicyWeights weights(shape_for(spec, choices));
      initialize_weights(weights, 3, -0.5f);
      save_policy(path, spec.id, "{}", weights);
      const PolicyFile file = load_policy(path);
      EXPECT_EQ(file.weights->layout.shape, weights.layout.shape);
      EXPECT_EQ(file.weights->params, weights.params);
      check_policy_fits(file, spec, path);
    }
  };
  expect_back(describe<testing::PlanesEnv>(), recurrent());
  expect_back(describe<testing::PlanesEnv>(), plain);
  expect_back(describe<testing::MixedEnv>(), squashed);
}

TEST(PolicyFile, NonsenseAboutTheNetworkIsRefused) {
  const TempDir dir;
  const std::string path = dir / "policy.safetensors";
  const EnvSpec spec = describe<testing::PlanesEnv>();
  PolicyWeights weights(shape_for(spec, recurrent()));
  save_policy(path, spec.id, "{}", weights);
  const TensorFile good = read_safetensors(path);
  const std::pair<const char*, const char*> wrong[] = {
      {"activation", "gelu"},      {"trunk", "separate"},       {"trunk", ""},
      {"distribution", "cauchy"},    {"memory", "lstm"},          {"memory", "none"},
      {"memory", "mingru"},        {"memory_size", "0"},        {"memory_size", "4097"},
      {"memory_size", "4"},        {"conv_channels", "16"},     {"conv_channels", "16,31"},
      {"conv_channels", "16,0"},   {"conv_channels", "16,64"},  {"conv_kernel", "2,9"},
      {"conv_kernel", "0,2"},      {"conv_kernel", "2,1"},      {"conv_stride", "1,0"},
      {"conv_stride", "1,1,1"},    {"conv_channels", "16,4096"}, {"hidden", ""}};
  for (const auto& [key, value] : wrong) {
    TensorFile file = good;
    file.metadata[key] = value;
    write_safetensors(path, file);
    EXPECT_EQ(exit_code_of([&] { load_policy(path); }), 3) << key << " = " << value;
  }
  // Products beyond 32 bits: a million positions of 4096 channels, then a stride that makes few of them.
  TensorFile file = good;
  for (const auto& [key, value] :
       {std::pair{"observation_shape", "1,1024,1024"}, {"observations", "2097152"},
        {"conv_channels", "4096,16"}, {"conv_kernel", "1,1"}, {"conv_stride", "1,64"}})
    file.metadata[key] = value;
  write_safetensors(path, file);
  EXPECT_EQ(exit_code_of([&] { load_policy(path); }), 3);
  write_safetensors(path, good);
  EXPECT_EQ(exit_code_of([&] { load_policy(path); }), 0);
}

class DamagedPolicy : public ::testing::Test {
 protected:
  DamagedPolicy() {
    const EnvSpec spec = testing::act_spec(true);
    PolicyWeights weights(shape_for(spec, {7}));
    testing::rough_weights(weights, true);
    save_policy(path, spec.id, "{}", weights);
    file = read_safetensors(path);
  }
  int load() {
    write_safetensors(path, file);
    return exit_code_of([&] { load_policy(path); }, &message);
  }
  TempDir dir;
  std::string path = dir / "policy.safetensors", message;
  TensorFile file;
};

TEST_F(DamagedPolicy, AsWrittenItLoads) { EXPECT_EQ(load(), 0); }

TEST_F(DamagedPolicy, EveryMissingTensorAndHeaderValueIsNamed) {
  const TensorFile good = file;
  for (std::size_t i = 0; i < good.tensors.size(); ++i) {
    file = good;
    file.tensors.erase(file.tensors.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_EQ(load(), 3);
    EXPECT_NE(message.find(good.tensors[i].name), std::string::npos) << message;
  }
  for (const auto& [key, value] : good.metadata) {
    file = good;
    file.metadata.erase(key);
    EXPECT_EQ(load(), 3) << key;
    EXPECT_NE(message.find(key), std::string::npos) << message;
  }
}

TEST_F(DamagedPolicy, NonsenseInTheHeaderIsRefused) {
  const TensorFile good = file;
  const std::pair<const char*, const char*> wrong[] = {{"format", "rollmill-policy-3"},
                                                       {"observations", "-1"},
                                                       {"observations", "99999999999"},
                                                       {"outputs", "x"},
                                                       {"hidden", "7,"},
                                                       {"hidden", "0"},
                                                       {"hidden", "8"},
                                                       {"observations", "6"},
                                                       {"outputs", "2"},
                                                       {"hidden", "7,7"}};
  for (const auto& [key, value] : wrong) {
    file = good;
    file.metadata[key] = value;
    EXPECT_EQ(load(), 3) << key << " = " << value;
  }
}

// A header may claim any shape: refused before the network that it describes is allocated.
TEST_F(DamagedPolicy, HugeShapesInTheHeaderAreRefusedAtOnce) {
  const TensorFile good = file;
  const char* const claims[][3] = {{"1048576", "4096,4096", "3"},
                                   {"1048576", "4096", "65536"},
                                   {"5", "4096,4096,4096,4096,4096,4096,4096,4096", "3"},
                                   {"5", "7", "65536"},
                                   {"1048576", "", "65536"}};
  for (const auto& [observations, hidden, outputs] : claims) {
    file = good;
    file.metadata["observations"] = observations;
    file.metadata["hidden"] = hidden;
    file.metadata["outputs"] = outputs;
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(load(), 3) << observations << " x " << hidden << " x " << outputs;
    EXPECT_NE(message.find("policy.safetensors"), std::string::npos) << message;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2)) << hidden;
  }
}

TEST_F(DamagedPolicy, UnknownKindsAreRefused) {
  const TensorFile good = file;
  const std::pair<const char*, const char*> unknown[] = {
      {"activation", "relu"}, {"activation", ""}, {"actions", "maybe"}, {"actions", "Discrete"}};
  for (const auto& [key, value] : unknown) {
    file = good;
    file.metadata[key] = value;
    EXPECT_EQ(load(), 3) << key << " = " << value;
    EXPECT_NE(message.find(value), std::string::npos) << message;
  }
}

TEST_F(DamagedPolicy, NegativeMomentsAreRefused) {
  int tried = 0;
  for (Tensor& t : file.tensors) {
    if (t.name != "normalizer.m2" && t.name != "normalizer.count") continue;
    const Tensor good = t;
    for (std::size_t k = 0; k < 5; ++k) {
      const double negative = -1e-9;
      std::memcpy(t.bytes.data() + k * sizeof(double), &negative, sizeof(double));
      EXPECT_EQ(load(), 3) << t.name << " " << k;
      EXPECT_NE(message.find("normaliser"), std::string::npos) << message;
      t = good;
      ++tried;
    }
  }
  EXPECT_EQ(tried, 10);
  EXPECT_EQ(load(), 0);
}

TEST_F(DamagedPolicy, NanIsRefused) {
  for (Tensor& t : file.tensors) {
    const Tensor good = t;
    const double nan64 = NAN;
    const float nan32 = NAN;
    std::memcpy(t.bytes.data(), t.dtype == DType::kF64 ? static_cast<const void*>(&nan64) : &nan32,
                dtype_size(t.dtype));
    EXPECT_EQ(load(), 3) << t.name;
    t = good;
  }
}

TEST_F(DamagedPolicy, CutAndMissingFiles) {
  const std::string text = read_file(path, 1 << 20);
  for (std::size_t n : {std::size_t{0}, std::size_t{7}, text.size() / 2, text.size() - 1}) {
    write_file_atomic(path, text.substr(0, n));
    EXPECT_EQ(exit_code_of([&] { load_policy(path); }), 3) << n << " bytes";
  }
  EXPECT_EQ(exit_code_of([&] { load_policy(dir / "absent"); }), 3);
}

}  // namespace
}  // namespace rollmill
