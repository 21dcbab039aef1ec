#include "envs/text_view.h"

#include <gtest/gtest.h>

namespace rollmill {
namespace {

TEST(TextView, HoldsAGridAndLines) {
  TextView view;
  EXPECT_EQ(view.str(), "");
  view.resize(2, 4, '.');
  view.put(1, 0, '@');
  view.put(2, 1, "keys");  // what does not fit is cut off
  view.put(-1, 0, 'x');
  view.put(0, 2, 'x');
  view.line("moves 3");
  view.line("");
  EXPECT_EQ(view.str(), ".@..\n..ke\nmoves 3\n\n");
  EXPECT_EQ(view.at(1, 0), '@');
  EXPECT_EQ(view.at(9, 9), ' ');
  view.resize(1, 1);
  EXPECT_EQ(view.str(), " \n");
}

TEST(TextView, BringsItsSizeIntoRange) {
  TextView view;
  view.resize(-3, 1 << 30);
  EXPECT_EQ(view.rows(), 0);
  view.resize(1 << 30, 2);
  EXPECT_EQ(view.rows(), TextView::kMaxSide);
}

}  // namespace
}  // namespace rollmill
