// Convolutions before the dense layers of a policy with a memory, as ObservationFront (learner_memory.cuh). What they say of a step is
// computed as without a memory, on tiles of kSequenceRows rows.
//
//   ConvFront    every row's (learner_conv.cuh): results are kept of all steps; inputs are gathered again
//   PatchFront   looked up (learner_patches.cuh): nothing is kept but the first dense layer's results. Backward, kWindowSteps steps are
//                a window: its patches are cut and named again before its last step, and its gradient is made after its first.
#pragma once

#include "trainer/fused/learner_conv.cuh"
#include "trainer/fused/learner_memory.cuh"
#include "trainer/fused/learner_patches.cuh"

namespace rollmill {

template <class Layers>
struct ConvFront {
  static constexpr int kFirst = 0;
  ConvRegion region;

  __device__ ConvFront(const LearnTask& task, SequenceTile& t)
      : region(conv_region(task, kept_of_block(task) + kept_steps(task), kSequenceRows)) {
    t.input = region.input;
    t.conv_pairs = region.pairs;
  }

  __device__ ConvRegion region_of(const KeptStep& step) const {
    ConvRegion own = region;
    own.layers = step.convs;
    return own;
  }

  // (In burn-in results are written where the first step's will be.)
  __device__ LayerInput forward(const LearnTask& task, const LearnNet& net, int rows,
                                const KeptStep& step, bool, const SequenceTile& t) const {
    read_again(task, rows, t);
    return Layers::read(convolve(task, net, region_of(step), kSequenceRows), conv_outputs(net), t);
  }

  __device__ void begin_backward(const LearnTask&, const std::uint32_t*, int, int,
                                 const SequenceTile&) const {}
  __device__ void read_again(const LearnTask& task, int rows, const SequenceTile& t) const {
    gather_samples(task.policy, task.buffer, t.sample, rows, kSequenceRows, t.input);
  }

  __device__ void backward(const LearnTask& task, const LearnNet& net, const KeptStep& kept,
                           const float* dy, int rows, int, const SequenceTile& t,
                           float* gradient) const {
    Layers::hidden_backward(task, net, 0, kept, rows, dy, region.d0, t, gradient);
    __syncthreads();
    convolve_backward(task, net, region_of(kept), rows, kSequenceRows, gradient);
  }
};

template <class Layers>
struct PatchFront {
  static constexpr int kFirst = 1;  // the first reads patches
  PatchRegion region;
  PatchTile<kSequenceRows> tile;

  __device__ PatchFront(const LearnTask& task, SequenceTile& t)
      : region(patch_region(task, kept_of_block(task) + kept_steps(task), kSequenceRows)),
        tile(patch_tile<kSequenceRows>(task, t.patches)) {}

  // The rows that are placed, into the window's rows from `row` on.
  __device__ void cut(const LearnTask& task, int rows, int row, const SequenceTile& t) const {
    gather_images<kSequenceRows>(task, t.sample, rows, tile.image);
    cut_patches<kSequenceRows>(task, tile.image, row, region);
  }

  __device__ LayerInput forward(const LearnTask& task, const LearnNet& net, int rows,
                                const KeptStep& step, bool keep, const SequenceTile& t) const {
    cut(task, rows, 0, t);
    return Layers::keep(net, 0, t.a, keep ? step.layers : nullptr, [&](const auto& y) {
      patch_layers_tile<kSequenceRows>(task, net, region, 0, y);
    });
  }

  // A window's rows are those of its first step, then those of the next, ...: what a step cuts beyond its rows, the next one's replace.
  __device__ void begin_backward(const LearnTask& task, const std::uint32_t* units, int rows, int j,
                                 const SequenceTile& t) const {
    const int steps = task.buffer.sequence_length;
    if (j + 1 < steps && (j + 1) % kWindowSteps != 0) return;
    const int begin = window_begin(j);
    for (int k = begin; k <= j; ++k) {
      place_rows(task.buffer, units, rows, k, t);
      cut(task, rows, (k - begin) * rows, t);
    }
    name_patches(task.actor.conv[0].layer, (j + 1 - begin) * rows, region);
  }
  __device__ void read_again(const LearnTask&, int, const SequenceTile&) const {}

  __device__ void backward(const LearnTask& task, const LearnNet& net, const KeptStep&,
                           const float* dy, int rows, int j, const SequenceTile& t,
                           float* gradient) const {
    const LearnLayer& dense = net.layers[0];
    const int step = j - window_begin(j), n = rows * dense.width;
    bias_grad_tile(dy, dense.width, rows, gradient + dense.bias);
    for (int i = threadIdx.x; i < n; i += blockDim.x) region.dy[step * n + i] = dy[i];
    if (step > 0) return;
    __syncthreads();
    patch_backward(task, net, tile, region, t.a, gradient);
  }

 private:
  static __device__ int window_begin(int j) { return j / kWindowSteps * kWindowSteps; }
};

// sequence_kernel of a policy whose networks are like this one.
template <class Layers>
LearnKernel sequence_kernel_of(const LearnNet& net) {
  return net.by_patch    ? sequence_kernel<Layers, PatchFront<Layers>>
         : net.convs > 0 ? sequence_kernel<Layers, ConvFront<Layers>>
                         : sequence_kernel<Layers, ObservationFront>;
}

}  // namespace rollmill
