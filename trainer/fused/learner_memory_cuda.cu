// The kernels of trainer/fused/learner_memory.cuh, float32.
#include "trainer/fused/learner_memory_conv.cuh"

namespace rollmill {

template LearnKernel sequence_kernel_of<SequenceLayers>(const LearnNet& net);

}  // namespace rollmill
