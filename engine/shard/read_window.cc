#include "engine/shard/read_window.h"

#include <algorithm>
#include <cerrno>

#include "segments/segment_log.h"

namespace sluice::shard {
namespace {
constexpr std::uint64_t kBlock = segments::kBlockBytes;
constexpr std::uint64_t round_up(std::uint64_t n) { return (n + kBlock - 1) / kBlock * kBlock; }
}  // namespace

bool is_passing(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN;
}

ReadWindow::ReadWindow(io::Io& io, FileSteps& files, std::size_t window_bytes, Events& events)
    : io_(io), files_(files), window_bytes_(window_bytes), events_(events) {}

void ReadWindow::start(const segments::Location& location, ChunkSeq written) {
  SLUICE_CHECK(idle());
  location_ = location;
  written_ = written;
  ended_well_ = false;
  epoch_ = location.epoch;
  begin_ = location.offset / kBlock * kBlock;
  // Beyond the end of the file a read is short, whatever size the segments had when it was made.
  const std::uint64_t end =
      std::max(location.offset + std::uint64_t{location.size_bytes}, begin_ + window_bytes_);
  wanted_ = static_cast<std::size_t>(round_up(end) - begin_);
  filled_ = 0;
  if (buffer_.size_bytes() < wanted_) buffer_ = io::AlignedBuffer(wanted_);
  if (files_.file(epoch_) != io::Handle::kNone) {
    read_on();
    return;
  }
  path_ = files_.path(segments::SegmentLog::segment_name(epoch_));
  io_.open(opened_, path_.c_str(), {.direct = files_.direct()});
}

bool ReadWindow::tried(const segments::Location& location) const {
  return ended_well_ && location.seq == location_.seq && location.offset == location_.offset;
}

void ReadWindow::on_opened(std::int32_t result) {
  if (result < 0) {
    events_.on_read(*this, -result);
    return;
  }
  files_.adopt(epoch_, static_cast<io::Handle>(result));
  read_on();
}

void ReadWindow::read_on() {
  const io::Handle file = files_.file(epoch_);
  if (file == io::Handle::kNone) {  // retired meanwhile
    events_.on_read(*this, ENOENT);
    return;
  }
  io_.read(done_, file, buffer_.span().subspan(filled_, wanted_ - filled_), begin_ + filled_);
}

void ReadWindow::on_done(std::int32_t result) {
  if (result < 0) {
    filled_ = 0;
    events_.on_read(*this, -result);
    return;
  }
  filled_ += static_cast<std::size_t>(result);
  const bool whole_blocks = filled_ % kBlock == 0;
  if (result > 0 && filled_ < wanted_ && whole_blocks) {
    read_on();
    return;
  }
  ended_well_ = true;
  events_.on_read(*this, 0);
}

std::span<const std::byte> ReadWindow::find(const segments::Location& location) const {
  if (reading() || location.epoch != epoch_ || location.offset < begin_) return {};
  if (location.seq > written_) return {};
  const std::uint64_t offset = location.offset - begin_;
  if (offset + location.size_bytes > filled_) return {};
  return buffer_.span().subspan(static_cast<std::size_t>(offset), location.size_bytes);
}

}  // namespace sluice::shard
