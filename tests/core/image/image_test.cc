// Picture files as other programs read them: the decoders are libpng's, giflib's and libwebp's.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/image/formats.h"
#include "core/image/write.h"
#include "core/io/atomic_file.h"
#include "tests/core/image/decode.h"
#include "tests/core/io/temp_dir.h"

namespace rollmill {
namespace {

using testing::exit_code_of;
using testing::TempDir;

// Pictures of random colours out of `colors`; each later frame differs from the one before in a rectangle.
std::vector<Picture> random_frames(int count, int width, int height, int colors, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint32_t> palette;
  for (int k = 0; k < colors; ++k) palette.push_back(random() & 0xffffff);
  std::vector<Picture> frames;
  Picture picture{width, height, {}};
  picture.rgb.resize(std::size_t{3} * static_cast<std::size_t>(width * height));
  const auto draw = [&](int x0, int y0, int x1, int y1) {
    for (int y = y0; y < y1; ++y) {
      for (int x = x0; x < x1; ++x) {
        const std::uint32_t c = palette[random() % palette.size()];
        std::uint8_t* p = picture.rgb.data() + 3 * (y * width + x);
        for (int k = 0; k < 3; ++k) p[k] = static_cast<std::uint8_t>(c >> (8 * k));
      }
    }
  };
  draw(0, 0, width, height);
  for (int k = 0; k < count; ++k) {
    frames.push_back(picture);
    const int x = static_cast<int>(random() % static_cast<unsigned>(width));
    const int y = static_cast<int>(random() % static_cast<unsigned>(height));
    draw(x, y, std::min(width, x + 9), std::min(height, y + 7));
  }
  return frames;
}

TEST(Png, DecodesToTheSamePixels) {
  for (const auto& [w, h] : {std::pair{1, 1}, {7, 3}, {200, 101}}) {
    const Picture picture = random_frames(1, w, h, 5000, 1)[0];
    EXPECT_EQ(decode_png(encode_png(picture)), picture);
  }
}

TEST(Webp, DecodesToTheSamePixelsAndTimes) {
  const auto frames = random_frames(9, 61, 34, 5000, 2);
  const Decoded decoded = decode_webp(encode_webp(frames, 70));
  EXPECT_EQ(decoded.frames, frames);
  EXPECT_EQ(decoded.ms, std::vector<int>(9, 70));
  EXPECT_EQ(decoded.loops, 0);
  const auto one = random_frames(1, 5, 4, 20, 3);
  EXPECT_EQ(decode_webp(encode_webp(one, 70)).frames, one);
}

TEST(Webp, AFrameThatRepeatsLastsLonger) {
  auto frames = random_frames(2, 20, 20, 40, 4);
  frames.insert(frames.begin(), frames[0]);
  const Decoded decoded = decode_webp(encode_webp(frames, 50));
  ASSERT_EQ(decoded.frames.size(), 2u);
  EXPECT_EQ(decoded.frames[0], frames[0]);
  EXPECT_EQ(decoded.ms[0], 100);
}

TEST(Gif, IsExactUpTo256Colors) {
  for (const int colors : {1, 2, 3, 4, 5, 16, 17, 255, 256}) {
    const auto frames = random_frames(6, 45, 33, colors, 5);
    const Decoded decoded = decode_gif(encode_gif(frames, 50));
    EXPECT_EQ(decoded.frames, frames) << colors;
    EXPECT_EQ(decoded.palettes, 0) << colors;
    EXPECT_EQ(decoded.ms, std::vector<int>(6, 50));
    EXPECT_EQ(decoded.loops, 0);
  }
}

TEST(Gif, IsExactWithAPaletteForEachFrame) {
  auto frames = random_frames(1, 30, 30, 200, 6);
  frames.push_back(random_frames(1, 30, 30, 200, 7)[0]);
  const Decoded decoded = decode_gif(encode_gif(frames, 50));
  EXPECT_EQ(decoded.frames, frames);
  EXPECT_EQ(decoded.palettes, 2);
}

// Random colours have 256 of them at 2 bits a channel only: then a channel is off by less than the step of 64.
TEST(Gif, LosesLowBitsOfFramesWithMoreColors) {
  const auto frames = random_frames(3, 60, 60, 1 << 20, 8);
  const Decoded decoded = decode_gif(encode_gif(frames, 50));
  ASSERT_EQ(decoded.frames.size(), 3u);
  for (std::size_t k = 0; k < 3; ++k) {
    for (std::size_t i = 0; i < frames[k].rgb.size(); ++i) {
      ASSERT_LT(std::abs(int{frames[k].rgb[i]} - int{decoded.frames[k].rgb[i]}), 64);
    }
  }
  EXPECT_EQ(encode_gif(frames, 50), encode_gif(frames, 50));
}

TEST(Gif, FramesThatAreEqualAndShortTimes) {
  const auto one = random_frames(1, 12, 9, 9, 9);
  const std::vector<Picture> frames(3, one[0]);
  const Decoded decoded = decode_gif(encode_gif(frames, 1));
  EXPECT_EQ(decoded.frames, frames);
  EXPECT_EQ(decoded.ms, std::vector<int>(3, 20));
  EXPECT_EQ(decode_gif(encode_gif(one, 50)).loops, -1);  // a still picture
}

TEST(WritePicture, WritesByTheExtension) {
  const TempDir dir;
  const auto frames = random_frames(3, 16, 8, 30, 10);
  write_picture(dir / "a.gif", frames, 40);
  write_picture(dir / "a.WEBP", frames, 40);
  write_picture(dir / "a.png", std::span(frames).first(1), 40);
  EXPECT_EQ(decode_gif(read_file(dir / "a.gif", 1 << 20)).frames, frames);
  EXPECT_EQ(decode_webp(read_file(dir / "a.WEBP", 1 << 20)).frames, frames);
  EXPECT_EQ(decode_png(read_file(dir / "a.png", 1 << 20)), frames[0]);
}

TEST(WritePicture, SaysWhatIsWrong) {
  const TempDir dir;
  auto frames = random_frames(3, 16, 8, 30, 11);
  std::string message;
  const auto write = [&](const std::string& name) {
    return exit_code_of([&] { write_picture(dir / name, frames, 40); }, &message);
  };
  EXPECT_EQ(write("a.bmp"), 2);
  EXPECT_NE(message.find(".webp"), std::string::npos);
  EXPECT_EQ(write("a"), 2);
  EXPECT_EQ(write("a.png"), 2);
  EXPECT_NE(message.find("filmstrip"), std::string::npos);
  EXPECT_EQ(write("no/such/folder/a.gif"), 4);
  frames[1] = random_frames(1, 17, 8, 3, 1)[0];
  EXPECT_EQ(write("a.gif"), 2);
  frames.clear();
  EXPECT_EQ(write("a.gif"), 2);
  EXPECT_EQ(dir.entries(), 0u);
  const Picture wide{70000, 1, std::vector<std::uint8_t>(210000)};
  frames.assign(1, wide);
  EXPECT_EQ(write("a.gif"), 2);
  EXPECT_EQ(write("a.webp"), 2);
}

TEST(Filmstrip, PutsEveryKthFrameInRows) {
  const auto frames = random_frames(7, 20, 10, 50, 12);
  const Picture strip = filmstrip(frames, 3, 2);  // frames 0, 2, 4 and 6
  EXPECT_EQ(strip.width, 3 * 26 + 6);
  EXPECT_EQ(strip.height, 2 * 16 + 6);
  for (int k = 0; k < 4; ++k) {
    for (int y = 0; y < 10; ++y) {
      const std::uint8_t* row =
          strip.rgb.data() + 3 * ((6 + k / 3 * 16 + y) * strip.width + 6 + k % 3 * 26);
      const auto& frame = frames[static_cast<std::size_t>(2 * k)];
      EXPECT_TRUE(std::equal(row, row + 60, frame.rgb.data() + 60 * y)) << k << ' ' << y;
    }
  }
  EXPECT_EQ(strip.rgb[0], 255);
  EXPECT_EQ(exit_code_of([&] { filmstrip({}, 3, 1); }), 2);
  const std::vector<Picture> large(70, Picture{4000, 4000, {}});
  EXPECT_EQ(exit_code_of([&] { filmstrip(large, 0, 1); }), 2);
}

TEST(Enlarge, RepeatsPixels) {
  const Picture small = random_frames(1, 5, 4, 50, 13)[0], large = enlarge(small, 3);
  EXPECT_EQ(large.width, 15);
  EXPECT_EQ(large.height, 12);
  for (int y = 0; y < 12; ++y) {
    for (int x = 0; x < 15; ++x) {
      for (int k = 0; k < 3; ++k) {
        ASSERT_EQ(large.rgb[static_cast<std::size_t>(3 * (y * 15 + x) + k)],
                  small.rgb[static_cast<std::size_t>(3 * (y / 3 * 5 + x / 3) + k)]);
      }
    }
  }
}

TEST(MakeSameSize, CentresOnWhite) {
  std::vector<Picture> frames = {Picture{1, 1, {1, 2, 3}},
                                 Picture{3, 3, std::vector<std::uint8_t>(27)}};
  make_same_size(frames);
  EXPECT_EQ(frames[0].width, 3);
  EXPECT_EQ(frames[0].height, 3);
  std::vector<std::uint8_t> expected(27, 255);
  expected[12] = 1, expected[13] = 2, expected[14] = 3;
  EXPECT_EQ(frames[0].rgb, expected);
}

}  // namespace
}  // namespace rollmill
