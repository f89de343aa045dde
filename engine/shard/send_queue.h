// What is to be sent on one connection. Small things (frame headers, envelopes) are copied into a
// staging buffer; batches are sent from where they lie, which stays pinned until they left.
//
// Two generations: one is being sent, the other gathers. One sendmsg is in flight at a time, so
// that everything that gathered meanwhile leaves in one system call.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/shard/tail.h"

namespace sluice::shard {

class SendQueue {
 public:
  SendQueue() = default;
  SendQueue(const SendQueue&) = delete;
  SendQueue& operator=(const SendQueue&) = delete;
  ~SendQueue() { drop_all(); }

  /// Room for `size_bytes` of small things at the end of what gathers, to be filled at once (the
  /// next call may move it).
  [[nodiscard]] std::span<std::byte> stage(std::size_t size_bytes);

  /// Bytes that lie in a chunk of `tail`, which is pinned until they are sent.
  void append_pinned(std::span<const std::byte> bytes, Tail& tail, ChunkSeq seq);
  /// Bytes in a buffer with a count of references, which falls by one when they are sent.
  void append_counted(std::span<const std::byte> bytes, std::uint32_t& references);

  /// Bytes that gather or are being sent.
  [[nodiscard]] std::size_t queued_bytes() const { return gathering_.bytes + sending_.bytes; }
  /// Nothing is being sent: what gathers may go.
  [[nodiscard]] bool idle() const { return sending_.slices.empty(); }
  [[nodiscard]] bool has_gathered() const { return !gathering_.slices.empty(); }

  /// Turns what gathered into what is being sent. Precondition: idle() && has_gathered().
  void begin();
  /// What to hand to the next sendmsg. Valid until advance(). Precondition: !idle().
  [[nodiscard]] std::span<const iovec> pending();
  /// `size_bytes` of pending() left. True when the generation is sent whole.
  bool advance(std::size_t size_bytes);

  /// The oldest chunk that is pinned from here, 0 if none.
  [[nodiscard]] ChunkSeq oldest_pinned() const;
  /// Something of append_counted() is not sent yet.
  [[nodiscard]] bool refers_to_counted() const;

  /// Forgets everything and unpins. Not while a send of it is in flight.
  void drop_all();

 private:
  struct Slice {
    const std::byte* data = nullptr;  // nullptr: staged, at staged_offset
    std::size_t staged_offset = 0;
    std::size_t size_bytes = 0;
    Tail* tail = nullptr;
    ChunkSeq seq;
    std::uint32_t* references = nullptr;
  };
  struct Generation {
    std::vector<std::byte> staged;
    std::vector<Slice> slices;
    std::size_t bytes = 0;
  };
  static void release(const Slice& slice);
  static void clear(Generation& generation, std::size_t from_slice);

  Generation gathering_, sending_;
  std::size_t sent_slices_ = 0;  // of sending_: done and released
  std::size_t sent_bytes_ = 0;   // of the first slice that is not
  std::vector<iovec> iovecs_;
};

}  // namespace sluice::shard
