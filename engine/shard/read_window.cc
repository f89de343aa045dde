#include "engine/shard/read_window.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "segments/segment_log.h"

namespace sluice::shard {
namespace {

constexpr std::uint64_t kBlock = segments::kBlockBytes;
constexpr std::uint64_t round_down(std::uint64_t n) { return n / kBlock * kBlock; }
constexpr std::uint64_t end_of(const segments::Location& location) {
  return round_down(std::uint64_t{location.offset} + location.size_bytes + kBlock - 1);
}

/// Reading so much in between costs less than another read.
constexpr std::uint64_t kGapBytesMax = 16u << 10;
constexpr std::size_t kStretchesMax = 32;

}  // namespace

bool is_passing(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN;
}

ReadWindow::ReadWindow(io::Io& io, FileSteps& files, std::size_t window_bytes, Events& events)
    : io_(io), files_(files), window_bytes_(window_bytes), events_(events) {}

ReadWindow::Stretch& ReadWindow::new_stretch(std::uint64_t begin, std::uint64_t end) {
  if (stretch_count_ == stretches_.size()) stretches_.push_back(std::make_unique<Stretch>(this));
  Stretch& stretch = *stretches_[stretch_count_++];
  stretch.begin = begin;
  stretch.wanted = static_cast<std::size_t>(end - begin);
  stretch.filled = 0;
  stretch.place = planned_bytes_;
  planned_bytes_ += stretch.wanted;
  return stretch;
}

void ReadWindow::plan(const segments::Location& first, ChunkSeq written) {
  SLUICE_CHECK(idle());
  first_ = first;
  written_ = written;
  epoch_ = first.epoch;
  ended_well_ = false;
  stretch_count_ = planned_bytes_ = 0;
  new_stretch(round_down(first.offset), end_of(first));
}

bool ReadWindow::add(const segments::Location& next) {
  Stretch& last = *stretches_[stretch_count_ - 1];
  if (next.epoch != epoch_ || next.seq > written_ || next.offset < last.begin) return false;
  const std::uint64_t end = end_of(next);
  if (end <= last.end()) return true;
  const bool near = round_down(next.offset) <= last.end() + kGapBytesMax;
  const std::uint64_t begin = near ? last.end() : round_down(next.offset);
  if (planned_bytes_ + (end - begin) > window_bytes_) return false;
  if (near) {
    last.wanted += static_cast<std::size_t>(end - begin);
    planned_bytes_ += static_cast<std::size_t>(end - begin);
    return true;
  }
  if (stretch_count_ == kStretchesMax) return false;
  new_stretch(begin, end);
  return true;
}

void ReadWindow::add_what_follows() {
  SLUICE_CHECK(stretch_count_ == 1);
  // Beyond the end of the file a read is short, whatever size the segments had when it was made.
  planned_bytes_ = std::max(planned_bytes_, window_bytes_);
  stretches_[0]->wanted = planned_bytes_;
}

bool ReadWindow::complete(const segments::Location& next) {
  SLUICE_CHECK(stretch_count_ == 1);
  Stretch& all = *stretches_[0];
  if (next.epoch != epoch_ || next.seq > written_ || next.offset >= all.end()) return false;
  if (end_of(next) <= all.end()) return true;
  planned_bytes_ = all.wanted = static_cast<std::size_t>(end_of(next) - all.begin);
  return false;
}

void ReadWindow::start() {
  SLUICE_CHECK(idle() && stretch_count_ > 0);
  if (buffer_.size_bytes() < planned_bytes_) {
    // To the next power of two, so that plans of ever other sizes soon find room.
    buffer_ = io::AlignedBuffer(std::bit_ceil(std::max(planned_bytes_, window_bytes_)));
  }
  if (files_.file(epoch_) != io::Handle::kNone) return read_all();
  path_ = files_.path(segments::SegmentLog::segment_name(epoch_));
  io_.open(opened_, path_.c_str(), {.direct = files_.direct()});
}

bool ReadWindow::tried(const segments::Location& location) const {
  return ended_well_ && location.seq == first_.seq && location.offset == first_.offset;
}

void ReadWindow::on_opened(std::int32_t result) {
  if (result < 0) return end(-result);
  files_.adopt(epoch_, static_cast<io::Handle>(result));
  read_all();
}

void ReadWindow::read_all() {
  error_ = 0;
  const io::Handle file = files_.file(epoch_);
  if (file == io::Handle::kNone) return end(ENOENT);  // retired meanwhile
  for (std::size_t i = 0; i < stretch_count_; ++i) read_on(*stretches_[i], file);
}

void ReadWindow::read_on(Stretch& stretch, io::Handle file) {
  ++reads_inflight_;
  io_.read(stretch.completion, file,
           buffer_.span().subspan(stretch.place + stretch.filled, stretch.wanted - stretch.filled),
           stretch.begin + stretch.filled);
}

void ReadWindow::on_done(Stretch& stretch, std::int32_t result) {
  --reads_inflight_;
  if (result < 0) {
    if (error_ == 0) error_ = -result;
  } else {
    stretch.filled += static_cast<std::size_t>(result);
    const bool goes_on =
        result > 0 && stretch.filled < stretch.wanted && stretch.filled % kBlock == 0;
    if (goes_on) {
      const io::Handle file = files_.file(epoch_);
      if (file != io::Handle::kNone) return read_on(stretch, file);
      error_ = ENOENT;  // retired meanwhile
    }
  }
  if (reads_inflight_ == 0) end(error_);
}

void ReadWindow::end(int error) {
  if (error != 0) stretch_count_ = 0;  // nothing is found in what may be there
  ended_well_ = error == 0;
  events_.on_read(*this, error);
}

std::span<const std::byte> ReadWindow::find(const segments::Location& location) const {
  if (reading() || location.epoch != epoch_ || location.seq > written_) return {};
  for (std::size_t i = stretch_count_; i > 0; --i) {
    const Stretch& stretch = *stretches_[i - 1];
    if (location.offset < stretch.begin) continue;
    const std::uint64_t offset = location.offset - stretch.begin;
    if (offset + location.size_bytes > stretch.filled) return {};
    return buffer_.span().subspan(stretch.place + static_cast<std::size_t>(offset),
                                  location.size_bytes);
  }
  return {};
}

}  // namespace sluice::shard
