// The kernels of trainer/fused/learner_memory.cuh with products of bfloat16 numbers.
#include "trainer/fused/learner_memory_bf16.cuh"
#include "trainer/fused/learner_memory_conv.cuh"

namespace rollmill {

template LearnKernel sequence_kernel_of<Bf16SequenceLayers>(const LearnNet& net);

}  // namespace rollmill
