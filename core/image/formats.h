// Picture files as bytes: PNG (libpng), GIF (giflib), WebP (libwebp). PNG and WebP are lossless. A GIF holds at most 256
// colours: exact where the animation, or else each frame, has no more; a frame with more loses its channels' lowest bits,
// as few as that takes. All throw Error kUsage for a size the format cannot hold.
#pragma once

#include <span>
#include <string>

#include "core/image/picture.h"

namespace rollmill {

std::string encode_png(const Picture& picture);
// An endless animation; one frame makes a still picture. Frames have one size and stand for ms milliseconds each (GIF: rounded
// to 10 ms, at least 20, because viewers slow anything faster down).
std::string encode_gif(std::span<const Picture> frames, int ms);
std::string encode_webp(std::span<const Picture> frames, int ms);

}  // namespace rollmill
