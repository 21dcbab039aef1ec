// What exports are made with: the protobuf encoding, the list of operations, numbers as C writes them. What the files compute
// is tests/rollout/check_export.py's business.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>

#include "rollout/export/c_header.h"
#include "rollout/export/c_pieces.h"
#include "rollout/export/onnx.h"
#include "rollout/export/policy_graph.h"
#include "rollout/export/protobuf.h"
#include "tests/rollout/acting.h"
#include "tests/support/counter_env.h"

namespace rollmill {
namespace {

// The examples of https://protobuf.dev/programming-guides/encoding: Test1, Test2, Test3; and a negative int64.
TEST(Protobuf, WritesThePublishedExamples) {
  ProtobufMessage test1;
  test1.integer(1, 150);
  EXPECT_EQ(test1.encoded(), "\x08\x96\x01");
  EXPECT_EQ(ProtobufMessage().bytes(2, "testing").encoded(), "\x12\x07testing");
  EXPECT_EQ(ProtobufMessage().message(3, test1).encoded(), "\x1a\x03\x08\x96\x01");
  EXPECT_EQ(ProtobufMessage().integer(1, -2).encoded(),
            "\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
  EXPECT_EQ(ProtobufMessage().integer(20, 0).encoded(), std::string("\xa0\x01\x00", 3));
}

// Calls visit(spec, weights) for every space, with the plainest of networks and with one that has everything.
template <class Visit>
void for_each_policy(Visit&& visit) {
  testing::for_each_space([&](const char* name, auto env) {
    SCOPED_TRACE(name);
    const EnvSpec spec = describe<decltype(env)>();
    const PolicyChoices plain{{24, 8}, 2};
    const PolicyChoices rich{
        {24}, 1, Activation::kRelu, Trunk::kSeparate, RealDistribution::kSquashed, MemoryKind::kGru,
        6};
    for (const PolicyChoices& choices : {plain, rich}) {
      PolicyWeights weights(shape_for(spec, choices));
      testing::rough_weights(weights, spec.observed.kind == ObservationKind::kReal);
      visit(spec, weights);
    }
  });
}

// Names are identifiers and no two are the same; nothing is read before it is there; constants are as wide as what they meet.
TEST(PolicyGraph, IsInOrderAndNamedApart) {
  for_each_policy([](const EnvSpec& spec, const PolicyWeights& weights) {
    const PolicyGraph graph = make_policy_graph(spec, weights);
    std::set<int> known(graph.inputs.begin(), graph.inputs.end());
    const bool remembers = weights.layout.shape.memory != MemoryKind::kNone;
    EXPECT_EQ(known.size(), 1u + (spec.mask_columns > 0 ? 1u : 0u) + (remembers ? 1u : 0u));
    for (const Operation& op : graph.operations) {
      for (const int input : op.inputs) EXPECT_EQ(known.count(input), 1u);
      EXPECT_TRUE(known.insert(op.output).second);
      const auto width = static_cast<std::size_t>(graph.value(op.output).width);
      if (op.constant.size() > 1) {
        EXPECT_EQ(op.constant.size(), width);
      }
      if (op.kind == OpKind::kDense) {
        const auto inputs = static_cast<std::size_t>(graph.value(op.inputs[0]).width);
        EXPECT_EQ(op.weight.size(), width * inputs);
      }
    }
    for (const GraphOutput& o : graph.outputs) EXPECT_EQ(known.count(o.value), 1u);
    std::set<std::string> names;
    for (const GraphValue& v : graph.values) {
      EXPECT_TRUE(names.insert(v.name).second) << v.name;
      EXPECT_EQ(v.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789"),
                std::string::npos);
    }
  });
}

// Every value of the graph is in the ONNX file, every input and output in the header, and both are the same each time.
TEST(PolicyGraph, IsWrittenWhole) {
  for_each_policy([](const EnvSpec& spec, const PolicyWeights& weights) {
    const PolicyGraph graph = make_policy_graph(spec, weights);
    const std::string onnx = onnx_model(graph), header = c_header(graph);
    for (const GraphValue& v : graph.values)
      EXPECT_NE(onnx.find(v.name), std::string::npos) << v.name;
    for (const int i : graph.inputs)
      EXPECT_NE(header.find("float* " + graph.value(i).name), std::string::npos);
    for (const GraphOutput& o : graph.outputs) {
      if (o.role == OutputRole::kMemory) continue;  // in place of the memory that came in
      EXPECT_NE(header.find("// " + graph.value(o.value).name + "["), std::string::npos);
    }
    EXPECT_EQ(onnx_model(graph), onnx);
    EXPECT_EQ(c_header(graph), header);
  });
}

TEST(PolicyGraph, TakesItsNameFromTheEnvironment) {
  EnvSpec spec = testing::act_spec(true);
  const PolicyWeights weights(shape_for(spec, {8}));
  for (const auto& [id, name] : {std::pair{"MinAtar/Breakout-v1", "minatar_breakout_v1"},
                                 {"2048-v0", "policy_2048_v0"},
                                 {"Stra\xc3\x9f"
                                  "e",
                                  "stra__e"}}) {
    spec.id = id;
    EXPECT_EQ(make_policy_graph(spec, weights).name, name);
  }
}

// A float constant of C has a point or an exponent, and the shortest decimal reads back as the same bits.
TEST(CHeader, NumbersReadBackAsTheSameFloat) {
  using Limits = std::numeric_limits<float>;
  for (const float x : {0.0f, -0.0f, 1.0f, -3.0f, 0.1f, 1e-8f, 16777216.0f, 1.0f / 3.0f,
                        Limits::max(), Limits::min(), Limits::denorm_min(), Limits::lowest()}) {
    const std::string text = c_number(x);
    EXPECT_EQ(text.back(), 'f');
    EXPECT_NE(text.find_first_of(".e"), std::string::npos) << text;
    const float back = std::strtof(text.c_str(), nullptr);
    EXPECT_EQ(back, x) << text;
    EXPECT_EQ(std::signbit(back), std::signbit(x)) << text;
  }
}

}  // namespace
}  // namespace rollmill
