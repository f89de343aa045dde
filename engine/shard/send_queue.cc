#include "engine/shard/send_queue.h"

#include <algorithm>
#include <utility>

#include "wire/check.h"

namespace sluice::shard {
namespace {
constexpr std::size_t kSlicesPerSend = 1024;  // IOV_MAX
}

std::span<std::byte> SendQueue::stage(std::size_t size_bytes) {
  auto& generation = gathering_;
  const std::size_t offset = generation.staged.size();
  generation.staged.resize(offset + size_bytes);
  generation.bytes += size_bytes;
  if (!generation.slices.empty() && generation.slices.back().data == nullptr) {
    generation.slices.back().size_bytes += size_bytes;
  } else {
    Slice slice;
    slice.staged_offset = offset;
    slice.size_bytes = size_bytes;
    generation.slices.push_back(slice);
  }
  return std::span(generation.staged).subspan(offset, size_bytes);
}

void SendQueue::append_pinned(std::span<const std::byte> bytes, Tail& tail, ChunkSeq seq) {
  tail.pin(seq);
  Slice slice;
  slice.data = bytes.data();
  slice.size_bytes = bytes.size();
  slice.tail = &tail;
  slice.seq = seq;
  gathering_.slices.push_back(slice);
  gathering_.bytes += bytes.size();
}

void SendQueue::append_counted(std::span<const std::byte> bytes, std::uint32_t& references) {
  ++references;
  Slice slice;
  slice.data = bytes.data();
  slice.size_bytes = bytes.size();
  slice.references = &references;
  gathering_.slices.push_back(slice);
  gathering_.bytes += bytes.size();
}

void SendQueue::begin() {
  SLUICE_CHECK(idle() && has_gathered());
  std::swap(gathering_, sending_);
  sent_slices_ = 0;
  sent_bytes_ = 0;
}

std::span<const iovec> SendQueue::pending() {
  iovecs_.clear();
  for (std::size_t i = sent_slices_; i < sending_.slices.size(); ++i) {
    if (iovecs_.size() == kSlicesPerSend) break;
    const Slice& slice = sending_.slices[i];
    const std::byte* data =
        slice.data != nullptr ? slice.data : sending_.staged.data() + slice.staged_offset;
    const std::size_t skip = i == sent_slices_ ? sent_bytes_ : 0;
    // sendmsg takes a pointer to non-const but does not write through it.
    iovecs_.push_back({const_cast<std::byte*>(data) + skip, slice.size_bytes - skip});
  }
  return iovecs_;
}

bool SendQueue::advance(std::size_t size_bytes) {
  SLUICE_CHECK(size_bytes <= sending_.bytes);
  sending_.bytes -= size_bytes;
  std::size_t left = size_bytes + sent_bytes_;
  while (sent_slices_ < sending_.slices.size() &&
         left >= sending_.slices[sent_slices_].size_bytes) {
    left -= sending_.slices[sent_slices_].size_bytes;
    release(sending_.slices[sent_slices_]);
    ++sent_slices_;
  }
  sent_bytes_ = left;
  if (sent_slices_ < sending_.slices.size()) return false;
  clear(sending_, sent_slices_);
  sent_slices_ = 0;
  return true;
}

ChunkSeq SendQueue::oldest_pinned() const {
  ChunkSeq oldest;
  const auto look = [&](const Generation& generation, std::size_t from) {
    for (std::size_t i = from; i < generation.slices.size(); ++i) {
      const Slice& slice = generation.slices[i];
      if (slice.tail != nullptr && (oldest == ChunkSeq{} || slice.seq < oldest)) oldest = slice.seq;
    }
  };
  look(sending_, sent_slices_);
  look(gathering_, 0);
  return oldest;
}

bool SendQueue::refers_to_counted() const {
  const auto counted = [](const Slice& slice) { return slice.references != nullptr; };
  const auto unsent = std::span(sending_.slices).subspan(sent_slices_);
  return std::ranges::any_of(unsent, counted) || std::ranges::any_of(gathering_.slices, counted);
}

void SendQueue::drop_all() {
  clear(sending_, sent_slices_);
  clear(gathering_, 0);
  sent_slices_ = 0;
  sent_bytes_ = 0;
}

void SendQueue::release(const Slice& slice) {
  if (slice.tail != nullptr) slice.tail->unpin(slice.seq);
  if (slice.references != nullptr) --*slice.references;
}

void SendQueue::clear(Generation& generation, std::size_t from_slice) {
  for (std::size_t i = from_slice; i < generation.slices.size(); ++i) {
    release(generation.slices[i]);
  }
  generation.slices.clear();
  generation.staged.clear();
  generation.bytes = 0;
}

}  // namespace sluice::shard
