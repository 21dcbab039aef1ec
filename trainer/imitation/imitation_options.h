// Learning from somebody else's actions: a dataset's (behaviour cloning, offline start) or a teacher policy's (distillation).
#pragma once

#include <string>

namespace rollmill {

class Config;
struct TrainOptions;

// [bc]: trainer.algorithm = "bc". Its optimiser's settings are in TrainOptions::ppo, which its updates share.
struct BcOptions {
  std::string dataset;
  int streams = 0;  // sequences of ppo.horizon steps in a report
};

// [init]: what a run starts from instead of random weights.
struct InitOptions {
  std::string policy;   // a run, checkpoint or policy.safetensors of the same shape; "": none
  std::string dataset;  // behaviour cloning on it before the first rollout; "": none
  int epochs = 1;       // passes over the dataset
  double learning_rate = 1e-3;
};

// [distill]: trainer.algorithm = "distill". The student acts, the teacher says what it would have done (on-policy distillation,
// Rusu et al. 2016; DAgger, Ross et al. 2011): the loss is the cross entropy with the teacher's distribution, by its samples.
struct DistillOptions {
  std::string teacher;          // a run, checkpoint or policy.safetensors
  bool greedy_teacher = false;  // its most probable action instead of a sample
};

// Each checks what o holds already and names the key in its errors.
void read_bc_options(Config& config, int world_size, TrainOptions& o);
void read_init_options(Config& config, int world_size, TrainOptions& o);
void read_distill_options(Config& config, TrainOptions& o);

}  // namespace rollmill
