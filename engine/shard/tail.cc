#include "engine/shard/tail.h"

#include <algorithm>

#include "segments/chunk_builder.h"
#include "wire/check.h"

namespace sluice::shard {

Tail::Tail(std::size_t bytes, std::size_t chunk_bytes_max)
    : memory_(bytes), chunk_bytes_max_(chunk_bytes_max) {
  SLUICE_CHECK(bytes >= 4 * chunk_bytes_max);
  // No chunk is smaller. A large tail is rarely full of the smallest: it grows if it must.
  slots_.reserve(std::min<std::size_t>(bytes / segments::kBlockBytes, 1u << 16));
}

const Tail::Slot* Tail::slot(ChunkSeq seq) const {
  if (slots_.empty() || seq < first_seq_ || seq - first_seq_ >= slots_.size()) return nullptr;
  return &slots_[seq - first_seq_];
}

Tail::Slot* Tail::slot(ChunkSeq seq) {
  return const_cast<Slot*>(static_cast<const Tail*>(this)->slot(seq));
}

void Tail::drop_oldest() {
  used_ -= slots_.front().reserved;
  slots_.pop_front();
  first_seq_ = first_seq_.next();
}

std::span<std::byte> Tail::open(ChunkSeq seq) {
  SLUICE_CHECK(!open_);
  const std::size_t size = memory_.size_bytes();
  // A chunk is contiguous: what is left at the end of the ring is skipped if it is too short.
  const std::size_t to_end = size - head_;
  const std::size_t skipped = to_end < chunk_bytes_max_ ? to_end : 0;
  const std::size_t wanted = skipped + chunk_bytes_max_;
  while (size - used_ < wanted) {
    crowded_ = slots_.empty() || slots_.front().pins > 0 || !slots_.front().written;
    if (crowded_) return {};
    drop_oldest();
  }
  crowded_ = false;
  if (slots_.empty()) first_seq_ = seq;
  SLUICE_CHECK(first_seq_ + slots_.size() == seq);
  Slot opened;
  opened.begin = skipped > 0 ? 0 : head_;
  opened.reserved = wanted;
  slots_.push_back(opened);
  used_ += wanted;
  open_ = true;
  return memory_.span().subspan(opened.begin, chunk_bytes_max_);
}

void Tail::abandon() {
  SLUICE_CHECK(open_);
  used_ -= slots_.back().reserved;
  slots_.pop_back();
  open_ = false;
}

void Tail::placed(const segments::Location& location, std::span<const std::byte> bytes) {
  SLUICE_CHECK(open_ && slots_.back().begin < memory_.size_bytes());
  Slot& opened = slots_.back();
  const auto within =
      static_cast<std::uint64_t>(bytes.data() - (memory_.span().data() + opened.begin));
  opened.segment_offset = location.offset - within;
  opened.size_bytes = chunk_bytes_max_;
}

void Tail::close(std::size_t size_bytes) {
  SLUICE_CHECK(open_ && size_bytes <= chunk_bytes_max_);
  Slot& closed = slots_.back();
  const std::size_t unused = chunk_bytes_max_ - size_bytes;
  closed.reserved -= unused;
  used_ -= unused;
  closed.size_bytes = size_bytes;
  head_ = closed.begin + size_bytes;
  if (head_ == memory_.size_bytes()) head_ = 0;
  open_ = false;
}

void Tail::on_written(ChunkSeq seq) {
  Slot* written = slot(seq);
  SLUICE_CHECK(written != nullptr);
  written->written = true;
}

std::span<const std::byte> Tail::find(const segments::Location& location) const {
  const Slot* found = slot(location.seq);
  if (found == nullptr || found->size_bytes == 0) return {};
  const std::uint64_t offset = location.offset - found->segment_offset;
  SLUICE_CHECK(offset + location.size_bytes <= found->size_bytes);
  return memory_.span().subspan(found->begin + offset, location.size_bytes);
}

void Tail::pin(ChunkSeq seq) {
  Slot* pinned = slot(seq);
  SLUICE_CHECK(pinned != nullptr);
  ++pinned->pins;
}

void Tail::unpin(ChunkSeq seq) {
  Slot* pinned = slot(seq);
  SLUICE_CHECK(pinned != nullptr && pinned->pins > 0);
  --pinned->pins;
}

bool Tail::oldest_is_pinned() const { return !slots_.empty() && slots_.front().pins > 0; }

}  // namespace sluice::shard
