// Pictures and animations to files, and what is done to them before.
#pragma once

#include <span>
#include <string>

#include "core/image/picture.h"

namespace rollmill {

enum class PictureFormat { kPng, kGif, kWebp };

// By the name's extension; any other: Error kUsage. Call it before long work.
PictureFormat picture_format(const std::string& path);

// Writes the file whole or not at all. One frame makes a picture, several an animation (PNG: Error kUsage) of ms milliseconds a
// frame. No frame, frames of different sizes: kUsage. Unwritable: kIo.
void write_picture(const std::string& path, std::span<const Picture> frames, int ms);

// Every `every`-th frame, in rows of `columns` (0: a number that makes the strip wide rather than tall), with white between.
// Smaller frames are centred in their place.
Picture filmstrip(std::span<const Picture> frames, int columns, int every);

// Each pixel as k x k.
Picture enlarge(const Picture& picture, int k);

// Every frame brought to the size of the widest and the highest, centred on white.
void make_same_size(std::span<Picture> frames);

}  // namespace rollmill
