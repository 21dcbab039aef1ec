#include "envs/contract/checks.h"

#include "envs/contract/check_support.h"

namespace rollmill::contract {

const std::vector<Check>& contract_checks() {
  static const std::vector<Check> checks = {
      {"description", "It says what it is: names, ranges, references.", check_description},
      {"parameters", "Parameters are checked against their ranges, and used.", check_parameters},
      {"repeatable",
       "The same seed gives the same bits: no hidden randomness, no clock, no globals.",
       check_repeatable},
      {"threads", "The same bits on any number of threads.", check_threads},
      {"batch_cuts", "An environment plays the same episodes in any batch.", check_batch_cuts},
      {"step_ranges", "A batch stepped in parts is a batch stepped at once.",
       check_ranges_of_a_step},
      {"fresh_episodes", "An episode depends on nothing that an earlier one left behind.",
       check_fresh_episodes},
      {"observe", "An observation is a function of the state.", check_observe},
      {"outputs", "A step writes all of its outputs and nothing else.", check_outputs},
      {"optional_outputs", "Outputs that nobody asks for change nothing.", check_optional_outputs},
      {"values", "Numbers are finite and within their declared ranges.", check_values},
      {"masks", "Action masks always allow something and have no bits beyond the choices.",
       check_masks},
      {"expert", "The scripted expert reads its observation only and takes allowed actions.",
       check_expert},
      {"snapshots", "A snapshot restores: the same future, in any batch.", check_snapshots},
      {"branches", "One environment can be saved, cloned and branched.", check_branches},
      {"replay", "Recorded actions replay to the same bits.", check_replay},
      {"autoreset", "The last observation is kept and the next episode's first one shown.",
       check_autoreset},
      {"ends", "Termination beats truncation.", check_ends},
      {"statistics", "Time limits and the statistics of ended episodes are exact.",
       check_statistics},
      {"episode_numbers", "Episode numbers advance by their stride.", check_episode_numbers},
      {"worlds", "Parameters drawn at each episode are within their ranges and recorded.",
       check_worlds},
      {"reset_pool", "Initial states made ahead or kept have the bits of those made directly.",
       check_reset_pool},
      {"shortcuts", "Shorter ways that the environment declares change no bit.", check_shortcuts},
      {"levels", "A level is the same world for everyone.", check_levels},
  };
  return checks;
}

std::uint64_t golden_hash(const EnvEntry& entry, int num_envs) {
  Runner runner(entry, check_config(num_envs));
  std::vector<Fnv> hashes(static_cast<std::size_t>(num_envs));
  std::vector<bool> done(static_cast<std::size_t>(num_envs), false);
  int running = num_envs;
  for (int i = 0; i < num_envs; ++i) {
    for (int k = 0; k < runner.columns(); ++k)
      hashes[static_cast<std::size_t>(i)].add(runner.observation(k, i));
  }
  for (int t = 0; t < 10000 && running > 0; ++t) {
    runner.step();
    for (int i = 0; i < num_envs; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (done[at]) continue;
      const bool ended = runner.ends[at] != kRunning;
      hashes[at].add(runner.rewards[at]);
      hashes[at].add(std::uint32_t{runner.ends[at]});
      for (int k = 0; k < runner.columns(); ++k)
        hashes[at].add(ended ? runner.final_observation(k, i) : runner.observation(k, i));
      for (int k = 0; k < runner.mask_columns(); ++k) hashes[at].add(runner.mask(k, i));
      done[at] = ended;
      running -= ended ? 1 : 0;
    }
  }
  Fnv all;
  for (const Fnv& hash : hashes) all.add(hash.value());
  return all.value();
}

}  // namespace rollmill::contract
