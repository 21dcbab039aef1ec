#include "trainer/fused/patch_backward.h"

#include <algorithm>

#include "rollout/mlp/dense.h"

namespace rollmill {
namespace {

// A window's rows, those of a position's first id first, then those of the next, each in their order.
struct RowsById {
  std::int32_t order[kPatchRows], begin[kPatchRows + 1];  // begin: of each id's rows

  void sort(const PatchIds& patches, int position) {
    const std::int32_t *ids = patches.at_position(position), first = patches.first(position);
    const int count = patches.first(position + 1) - first;
    std::fill_n(begin, count + 1, 0);
    for (int r = 0; r < patches.rows(); ++r) ++begin[ids[r] - first + 1];
    for (int k = 0; k < count; ++k) begin[k + 1] += begin[k];
    std::int32_t next[kPatchRows];
    std::copy_n(begin, count, next);
    for (int r = 0; r < patches.rows(); ++r) order[next[ids[r] - first]++] = r;
  }
};

// sum [kVectors * 16] = the rows of dy that are listed, which are at least one, in their order.
template <int kVectors>
void sum_rows(const std::int32_t* rows, int count, const float* dy, int width, float* sum) {
  const F16 one = broadcast16(1.0f);
  F16 acc[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) acc[v] = load16(dy + rows[0] * width + v * 16);
  for (int r = 1; r < count; ++r) {
    const float* row = dy + rows[r] * width;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[v] = fma16(one, load16(row + v * 16), acc[v]);
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) store16(sum + v * 16, acc[v]);
}
void sum_rows(const std::int32_t* rows, int count, const float* dy, int width, float* sum) {
  int f = 0;
  for (; f + 128 <= width; f += 128) sum_rows<8>(rows, count, dy + f, width, sum + f);
  for (; f < width; f += 16) sum_rows<1>(rows, count, dy + f, width, sum + f);
}

}  // namespace

void patch_backward(const Network& net, const PatchSums& sums, const float* transposed,
                    const float* dy, float* gradient) {
  const ConvLayer& conv = net.conv.front();
  const DenseLayer& dense = net.dense.front();
  const PatchIds& patches = sums.patches();
  const int channels = conv.channels, width = dense.width;
  thread_local AlignedVector<float> dsums, dfeatures;
  dsums.resize(static_cast<std::size_t>(kPatchRows * width));
  dfeatures.resize(static_cast<std::size_t>(kPatchRows * channels));
  RowsById rows;
  for (int p = 0; p < patches.positions(); ++p) {
    const int first = patches.first(p), count = patches.first(p + 1) - first;
    const float* features = sums.features(first);
    rows.sort(patches, p);
    for (int k = 0; k < count; ++k) {
      sum_rows(rows.order + rows.begin[k], rows.begin[k + 1] - rows.begin[k], dy, width,
               dsums.data() + std::int64_t{k} * width);
    }
    dense_weight_product(features, channels, channels, dsums.data(), width, width, count,
                         gradient + dense.weight + std::int64_t{p} * channels * width,
                         dense.outputs);
    dense_input_grad(dsums.data(), width, dense.outputs,
                     transposed + std::int64_t{p} * dense.outputs * channels, channels,
                     dfeatures.data(), channels, count);
    activate_backward(net.activation, features, dfeatures.data(), std::int64_t{count} * channels);
    internal::bias_grad(dfeatures.data(), channels, channels, count, gradient + conv.bias);
    for (int k = 0; k < count; ++k) {
      const float* d = dfeatures.data() + std::int64_t{k} * channels;
      patches.for_ones(first + k, [&](int one) {
        add_numbers(d, channels, gradient + conv.weight + std::int64_t{one} * channels);
      });
    }
  }
}

}  // namespace rollmill
