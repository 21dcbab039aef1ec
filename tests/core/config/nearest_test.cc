#include "core/config/nearest.h"

#include <gtest/gtest.h>

namespace rollmill {
namespace {

TEST(EditDistance, TextbookCases) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("abc", "abc"), 0);
  EXPECT_EQ(edit_distance("ab", "ba"), 1);
  EXPECT_EQ(edit_distance("ca", "abc"), 3);  // restricted: no edit between swapped letters
}

TEST(Nearest, FindsWhatWasMeant) {
  const std::vector<std::string> keys = {"seed", "env.id", "env.num_envs", "train.learning_rate",
                                         "train.gamma"};
  EXPECT_EQ(nearest("env.num_env", keys), "env.num_envs");
  EXPECT_EQ(nearest("env.nmu_envs", keys), "env.num_envs");
  EXPECT_EQ(nearest("envs.num_envs", keys), "env.num_envs");
  EXPECT_EQ(nearest("train.num_envs", keys), "env.num_envs");
  EXPECT_EQ(nearest("gamma", keys), "train.gamma");
  EXPECT_EQ(nearest("train.learningrate", keys), "train.learning_rate");
  EXPECT_EQ(nearest("train.banana", keys), "");
  EXPECT_EQ(nearest("x", {"y"}), "");
  EXPECT_EQ(nearest(std::string(100000, 'a'), keys), "");
}

}  // namespace
}  // namespace rollmill
